package org.kerasfastvit.demo.core

import kotlin.math.min

/**
 * How a camera's preview is laid into its view: whole, centred, upright, in its own proportions.
 *
 * Android's `TextureView` turns the picture upright for a display that is not turned, mirrors it for
 * a front camera, and stretches it over the view. About the view's centre, the picture is to be
 * scaled by [scaleX] and [scaleY], which undoes the stretching, turned by [degrees], which undoes the
 * display's turn, and scaled by [scale], which makes it as large as it fits.
 *
 * @param viewWidth In pixels, as on the display now.
 * @param viewHeight In pixels, as on the display now.
 * @param frameWidth Of the camera's frames as they come, in pixels.
 * @param frameHeight Of the camera's frames as they come, in pixels.
 * @param sensorDegrees How far a frame must turn clockwise on a display that is not turned.
 * @param displayDegrees How far the display is turned: 0, 90, 180 or 270.
 */
public class PreviewFit(
    viewWidth: Int,
    viewHeight: Int,
    frameWidth: Int,
    frameHeight: Int,
    sensorDegrees: Int,
    displayDegrees: Int,
) {
    private val lies = sensorDegrees % 180 != 0
    private val width = (if (lies) frameHeight else frameWidth).toFloat()
    private val height = (if (lies) frameWidth else frameHeight).toFloat()
    private val turned = displayDegrees % 180 != 0

    init {
        expect(
            min(min(viewWidth, viewHeight), min(frameWidth, frameHeight)) > 0,
            { "a view and frames of at least 1x1 pixels" },
            { "${viewWidth}x$viewHeight and ${frameWidth}x$frameHeight" },
        )
    }

    /** Across. */
    public val scaleX: Float = width / viewWidth

    /** Down. */
    public val scaleY: Float = height / viewHeight

    /** Clockwise. */
    public val degrees: Float = -displayDegrees.toFloat()

    /** In both directions, after turning. */
    public val scale: Float =
        min(
            viewWidth / (if (turned) height else width),
            viewHeight / (if (turned) width else height),
        )
}

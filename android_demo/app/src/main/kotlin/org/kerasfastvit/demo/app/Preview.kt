package org.kerasfastvit.demo.app

import android.graphics.Matrix
import android.view.Surface
import android.view.TextureView
import kotlin.math.min

/** Shows a camera's picture in its own proportions, however the screen is turned or divided. */
class Preview(
    private val view: TextureView,
) {
    /** Clockwise turn of the display in degrees: 0, 90, 180 or 270. */
    val displayDegrees: Int
        get() =
            when (view.display?.rotation) {
                Surface.ROTATION_90 -> 90
                Surface.ROTATION_180 -> 180
                Surface.ROTATION_270 -> 270
                else -> 0
            }

    /**
     * Fits the picture of [camera] into the view.
     *
     * A TextureView stretches the picture over itself as if the display were not turned. That is
     * undone first.
     */
    fun fit(camera: CameraChoice) {
        if (view.width == 0 || view.height == 0) return
        val upright = camera.sensorDegrees % 180 == 0
        val width = (if (upright) camera.size.width else camera.size.height).toFloat()
        val height = (if (upright) camera.size.height else camera.size.width).toFloat()
        val turned = displayDegrees % 180 != 0
        val shownWidth = if (turned) height else width
        val shownHeight = if (turned) width else height
        val scale = min(view.width / shownWidth, view.height / shownHeight)
        val centerX = view.width / 2f
        val centerY = view.height / 2f
        val matrix = Matrix()
        matrix.postScale(width / view.width, height / view.height, centerX, centerY)
        matrix.postRotate(-displayDegrees.toFloat(), centerX, centerY)
        matrix.postScale(scale, scale, centerX, centerY)
        view.setTransform(matrix)
    }
}

package org.kerasfastvit.demo.app

import android.graphics.Matrix
import android.view.Surface
import android.view.TextureView
import org.kerasfastvit.demo.core.PreviewFit

/** Shows a camera's picture in its own proportions, however the screen is turned or divided. */
class Preview(
    private val view: TextureView,
) {
    /** How far the display is turned, in degrees: 0, 90, 180 or 270. */
    val displayDegrees: Int
        get() =
            when (view.display?.rotation) {
                Surface.ROTATION_90 -> 90
                Surface.ROTATION_180 -> 180
                Surface.ROTATION_270 -> 270
                else -> 0
            }

    /** Fits the picture of [camera] into the view. */
    fun fit(camera: CameraChoice) {
        if (view.width == 0 || view.height == 0) return
        val size = camera.size
        val fit =
            PreviewFit(
                view.width,
                view.height,
                size.width,
                size.height,
                camera.sensorDegrees,
                displayDegrees,
            )
        val centerX = view.width / 2f
        val centerY = view.height / 2f
        val matrix = Matrix()
        matrix.postScale(fit.scaleX, fit.scaleY, centerX, centerY)
        matrix.postRotate(fit.degrees, centerX, centerY)
        matrix.postScale(fit.scale, fit.scale, centerX, centerY)
        view.setTransform(matrix)
    }
}

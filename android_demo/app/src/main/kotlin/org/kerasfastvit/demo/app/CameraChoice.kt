package org.kerasfastvit.demo.app

import android.graphics.ImageFormat
import android.graphics.SurfaceTexture
import android.hardware.camera2.CameraAccessException
import android.hardware.camera2.CameraCharacteristics
import android.hardware.camera2.CameraManager
import android.util.Size
import org.kerasfastvit.demo.core.Facing
import org.kerasfastvit.demo.core.Orientation

/** A camera, with the size in which it gives both the preview and the frames. */
class CameraChoice private constructor(
    val id: String,
    val facing: Facing,
    val size: Size,
    val sensorDegrees: Int,
    val hasTorch: Boolean,
) {
    /** What turns a frame upright on a display that is turned by [displayDegrees]. */
    fun orientation(displayDegrees: Int): Orientation =
        Orientation.ofCamera(sensorDegrees, displayDegrees, facing)

    companion object {
        private const val MOST_PIXELS = 1280 * 960

        /**
         * The first camera that faces this way; null if there is none.
         *
         * @throws CameraAccessException if the cameras do not answer.
         * @throws IllegalArgumentException if one was unplugged meanwhile.
         */
        fun find(
            manager: CameraManager,
            facing: Facing,
        ): CameraChoice? =
            manager.cameraIdList.firstNotNullOfOrNull { id ->
                of(id, manager.getCameraCharacteristics(id), facing)
            }

        private fun of(
            id: String,
            facts: CameraCharacteristics,
            facing: Facing,
        ): CameraChoice? {
            val lens = facts.get(CameraCharacteristics.LENS_FACING)
            // One that is plugged in faces neither way: it is shown like a back camera.
            val isFront = lens == CameraCharacteristics.LENS_FACING_FRONT
            if (isFront != (facing == Facing.FRONT)) return null
            val map =
                facts.get(CameraCharacteristics.SCALER_STREAM_CONFIGURATION_MAP) ?: return null
            val previews = map.getOutputSizes(SurfaceTexture::class.java).orEmpty()
            val frames = map.getOutputSizes(ImageFormat.YUV_420_888).orEmpty()
            val common = previews.toSet().intersect(frames.toSet())
            val fitting = common.filter { it.pixels <= MOST_PIXELS }
            val size =
                fitting.maxByOrNull { it.pixels } ?: common.minByOrNull { it.pixels } ?: return null
            return CameraChoice(
                id,
                facing,
                size,
                facts.get(CameraCharacteristics.SENSOR_ORIENTATION) ?: 0,
                facts.get(CameraCharacteristics.FLASH_INFO_AVAILABLE) == true,
            )
        }

        private val Size.pixels get() = width * height
    }
}

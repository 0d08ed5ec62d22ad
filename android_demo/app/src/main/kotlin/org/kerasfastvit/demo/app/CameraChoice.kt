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
        when (facing) {
            Facing.BACK -> Orientation((sensorDegrees - displayDegrees + 360) % 360)

            // Mirrored like its preview.
            Facing.FRONT -> Orientation((sensorDegrees + displayDegrees) % 360, mirrored = true)
        }

    companion object {
        private const val MOST_PIXELS = 1280 * 960

        /** The first camera that faces this way; null if there is none. */
        @Throws(CameraAccessException::class)
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
            val lens =
                when (facing) {
                    Facing.BACK -> CameraCharacteristics.LENS_FACING_BACK
                    Facing.FRONT -> CameraCharacteristics.LENS_FACING_FRONT
                }
            if (facts.get(CameraCharacteristics.LENS_FACING) != lens) return null
            val map =
                facts.get(CameraCharacteristics.SCALER_STREAM_CONFIGURATION_MAP) ?: return null
            val previews = map.getOutputSizes(SurfaceTexture::class.java).orEmpty()
            val frames = map.getOutputSizes(ImageFormat.YUV_420_888).orEmpty()
            val common = previews.toSet().intersect(frames.toSet())
            val size =
                common.filter { it.width * it.height <= MOST_PIXELS }.maxByOrNull {
                    it.width *
                        it.height
                }
                    ?: common.minByOrNull { it.width * it.height }
                    ?: return null
            return CameraChoice(
                id,
                facing,
                size,
                facts.get(CameraCharacteristics.SENSOR_ORIENTATION) ?: 0,
                facts.get(CameraCharacteristics.FLASH_INFO_AVAILABLE) == true,
            )
        }
    }
}

package org.kerasfastvit.demo.app

import android.graphics.ImageFormat
import android.media.Image
import android.media.ImageReader
import android.os.Handler
import android.util.Size
import android.view.Surface
import org.kerasfastvit.demo.core.YuvFrame
import org.kerasfastvit.demo.core.YuvPlane
import org.kerasfastvit.demo.core.YuvRange

/**
 * Gives the newest frame to [use], on [handler]'s thread; frames that came meanwhile are dropped.
 *
 * @param use Receives the frame, which is gone when it returns, and when it was taken in
 *     nanoseconds.
 */
class FrameReader(
    size: Size,
    handler: Handler,
    private val use: (YuvFrame, Long) -> Unit,
) : AutoCloseable {
    private val reader =
        ImageReader.newInstance(size.width, size.height, ImageFormat.YUV_420_888, IMAGES)
    private val frame = YuvFrame()

    /** Where the camera puts its frames. */
    val surface: Surface get() = reader.surface

    init {
        reader.setOnImageAvailableListener(::take, handler)
    }

    private fun take(from: ImageReader) {
        val image = from.acquireLatestImage() ?: return
        try {
            val (y, u, v) = image.planes
            point(frame.y, y)
            point(frame.u, u)
            point(frame.v, v)
            frame.describe(image.width, image.height, YuvRange.FULL)
            use(frame, image.timestamp)
        } finally {
            image.close()
        }
    }

    private fun point(
        to: YuvPlane,
        plane: Image.Plane,
    ) = to.point(plane.buffer, plane.rowStride, plane.pixelStride)

    override fun close() = reader.close()

    private companion object {
        /** One that is used, one that is filled, one between: what `acquireLatestImage` needs. */
        const val IMAGES = 3
    }
}

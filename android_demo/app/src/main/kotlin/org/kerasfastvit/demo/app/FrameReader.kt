package org.kerasfastvit.demo.app

import android.graphics.ImageFormat
import android.media.Image
import android.media.ImageReader
import android.os.Build
import android.os.Handler
import android.util.Log
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
 * @param unreadable Is told, on the same thread, of each frame whose planes are not what the camera
 *     says of them; it is skipped.
 */
class FrameReader(
    size: Size,
    handler: Handler,
    private val use: (YuvFrame, Long) -> Unit,
    private val unreadable: () -> Unit,
) : AutoCloseable {
    private val reader =
        ImageReader.newInstance(size.width, size.height, ImageFormat.YUV_420_888, IMAGES)
    private val frame = YuvFrame()
    private var logged = false

    /** Where the camera puts its frames. */
    val surface: Surface get() = reader.surface

    init {
        reader.setOnImageAvailableListener(::take, handler)
    }

    private fun take(from: ImageReader) {
        val image = newest(from) ?: return
        try {
            if (point(image)) use(frame, image.timestamp)
        } finally {
            image.close()
        }
    }

    private fun newest(from: ImageReader): Image? =
        try {
            from.acquireLatestImage()
        } catch (error: UnsupportedOperationException) {
            // The camera answers with another format than it was asked for.
            skip(error)
            null
        }

    /** Lets the frame point at the image's planes; false if they do not fit its size. */
    private fun point(image: Image): Boolean =
        try {
            val planes = image.planes
            require(planes.size == PLANES) { "Expected $PLANES planes. Received: ${planes.size}" }
            point(frame.y, planes[0])
            point(frame.u, planes[1])
            point(frame.v, planes[2])
            frame.describe(image.width, image.height, range(image))
            true
        } catch (error: IllegalArgumentException) {
            skip(error)
            false
        }

    private fun point(
        to: YuvPlane,
        plane: Image.Plane,
    ) = to.point(plane.buffer, plane.rowStride, plane.pixelStride)

    /** Older Androids do not say; there, `YUV_420_888` from a camera is JFIF. */
    private fun range(image: Image): YuvRange =
        if (Build.VERSION.SDK_INT >= ANDROID_13) {
            YuvRange.ofDataSpace(image.dataSpace)
        } else {
            YuvRange.FULL
        }

    private fun skip(error: RuntimeException) {
        if (!logged) Log.w(TAG, "a frame is skipped", error)
        logged = true
        unreadable()
    }

    override fun close() = reader.close()

    private companion object {
        const val TAG = "FastViT"
        const val PLANES = 3
        const val ANDROID_13 = 33

        /** One that is used, one that is filled, one between: what `acquireLatestImage` needs. */
        const val IMAGES = 3
    }
}

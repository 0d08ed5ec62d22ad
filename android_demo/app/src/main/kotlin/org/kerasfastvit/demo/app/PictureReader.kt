package org.kerasfastvit.demo.app

import android.content.ContentResolver
import android.graphics.Bitmap
import android.graphics.BitmapFactory
import android.graphics.Matrix
import android.media.ExifInterface
import android.net.Uri
import org.kerasfastvit.demo.core.Orientation
import org.kerasfastvit.demo.core.RgbImage
import java.io.IOException
import java.io.InputStream

/** Reads pictures that the user has picked or another app has sent. */
class PictureReader(
    private val resolver: ContentResolver,
) {
    /**
     * Reads a picture and turns it upright, as its EXIF data say.
     *
     * @throws IOException if it is gone, may not be read, or is no picture.
     */
    fun read(source: Uri): Bitmap {
        val bounds = BitmapFactory.Options().apply { inJustDecodeBounds = true }
        decode(source, bounds)
        val options =
            BitmapFactory.Options().apply {
                inSampleSize = sampling(bounds.outWidth, bounds.outHeight)
                inPreferredConfig = Bitmap.Config.ARGB_8888
            }
        val picture =
            decode(source, options)
                ?: throw IOException(
                    "Expected a picture. Received: $source of ${bounds.outMimeType}",
                )
        return turned(picture, orientation(source))
    }

    private fun decode(
        source: Uri,
        options: BitmapFactory.Options,
    ): Bitmap? = open(source).use { BitmapFactory.decodeStream(it, null, options) }

    private fun orientation(source: Uri): Orientation =
        try {
            val exif = open(source).use { ExifInterface(it) }
            Orientation.ofExif(exif.getAttributeInt(ExifInterface.TAG_ORIENTATION, 1))
        } catch (_: IOException) {
            // PNG and others have none.
            Orientation.UPRIGHT
        }

    private fun open(source: Uri): InputStream =
        try {
            resolver.openInputStream(source)
        } catch (error: RuntimeException) {
            // Not allowed, or whatever another app's provider throws.
            throw IOException("Expected a picture that may be read. Received: $source", error)
        } ?: throw IOException("Expected a picture. Received: nothing at $source")

    private fun turned(
        picture: Bitmap,
        orientation: Orientation,
    ): Bitmap {
        if (orientation == Orientation.UPRIGHT) return picture
        val matrix = Matrix().apply { postRotate(orientation.degrees.toFloat()) }
        if (orientation.mirrored) matrix.postScale(-1f, 1f)
        return Bitmap.createBitmap(picture, 0, 0, picture.width, picture.height, matrix, false)
    }

    companion object {
        /** Three copies of these, 11 bytes a pixel, fit into an app's large heap. */
        private const val MOST_PIXELS = 4096L * 3072L

        /** By which power of 2 a picture is made smaller when it is read: 1 up to 12 megapixels. */
        internal fun sampling(
            width: Int,
            height: Int,
        ): Int {
            var sampling = 1
            while (width.toLong() * height / (sampling * sampling) > MOST_PIXELS) sampling *= 2
            return sampling
        }

        /** The pixels of an upright picture. */
        fun pixels(picture: Bitmap): RgbImage {
            val pixels = IntArray(picture.width * picture.height)
            picture.getPixels(pixels, 0, picture.width, 0, 0, picture.width, picture.height)
            return RgbImage().apply {
                fillFromArgb(pixels, picture.width, picture.height, Orientation.UPRIGHT)
            }
        }
    }
}

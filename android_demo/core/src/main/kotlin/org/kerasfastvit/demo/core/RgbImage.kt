package org.kerasfastvit.demo.core

/**
 * Pixels in memory that is reused: red, green and blue, a byte 0..255 each, row by row.
 *
 * [bytes] has at least `width * height * 3` bytes, of which those are the image.
 */
public class RgbImage {
    /** The samples; those of pixel `(x, y)` begin at `3 * (y * width + x)`. */
    public var bytes: ByteArray = ByteArray(0)
        private set

    /** In pixels. */
    public var width: Int = 0
        private set

    /** In pixels. */
    public var height: Int = 0
        private set

    /** Gives the image another size; its pixels are then undefined. Allocates only to grow. */
    public fun resize(
        width: Int,
        height: Int,
    ) {
        expect(
            width > 0 && height > 0 && 3L * width * height <= Int.MAX_VALUE,
            { "an image of at least 1x1 pixels and at most ${Int.MAX_VALUE} bytes" },
            { "${width}x$height" },
        )
        this.width = width
        this.height = height
        if (bytes.size < 3 * width * height) bytes = ByteArray(3 * width * height)
    }

    /**
     * Fills the image from pixels `0xAARRGGBB`, as `android.graphics.Bitmap.getPixels` gives them,
     * turned upright. Alpha is dropped, not blended.
     *
     * @param pixels At least `width * height` of them, row by row.
     * @param width Before turning.
     * @param height Before turning.
     */
    public fun fillFromArgb(
        pixels: IntArray,
        width: Int,
        height: Int,
        orientation: Orientation,
    ) {
        expect(
            pixels.size >= width.toLong() * height,
            { "${width}x$height pixels" },
            { "${pixels.size} pixels" },
        )
        if (orientation.swapsSides) resize(height, width) else resize(width, height)
        val walk = OrientedWalk()
        walk.over(orientation, width, height, this.width)
        for (y in 0 until height) {
            var to = walk.start(y)
            for (x in 0 until width) {
                val pixel = pixels[y * width + x]
                bytes[to] = (pixel shr 16).toByte()
                bytes[to + 1] = (pixel shr 8).toByte()
                bytes[to + 2] = pixel.toByte()
                to += walk.step
            }
        }
    }
}

package org.kerasfastvit.demo.core

/**
 * The resize with antialiasing and the crop of `keras_fastvit.load_image`, equal to the bit.
 *
 * Pillow resizes in two passes and rounds to 8 bits in between, so their order shows. Like Pillow 13,
 * it resizes rows first, columns first only where the height shrinks by more than twice as many
 * pixels as the width does; older Pillows begin with the rows there too. Only what the crop shows is
 * computed.
 *
 * @param width Of the result, in pixels.
 * @param height Of the result, in pixels.
 * @param cropPct Share of the resized image that the crop keeps along its tighter side.
 */
internal class CropResizer(
    private val width: Int,
    private val height: Int,
    private val cropPct: Double,
    private val interpolation: Interpolation,
) {
    private var imageWidth = 0
    private var imageHeight = 0
    private var columnsFirst = false
    private lateinit var across: ResampleAxis
    private lateinit var down: ResampleAxis
    private val between = RgbImage()
    private var sums = IntArray(0)

    /** The part of the upright image that the crop is made of. */
    val needed = Region()

    /** Prepares for upright images of that size. Allocates only if it is another size than before. */
    fun prepare(
        imageWidth: Int,
        imageHeight: Int,
    ) {
        if (imageWidth == this.imageWidth && imageHeight == this.imageHeight) return
        val crop = CropGeometry(imageWidth, imageHeight, width, height, cropPct)
        across = ResampleAxis(interpolation, imageWidth, crop.resizedWidth, crop.left, width)
        down = ResampleAxis(interpolation, imageHeight, crop.resizedHeight, crop.top, height)
        val shrinksBy = imageHeight - crop.resizedHeight
        columnsFirst = shrinksBy > 0 && shrinksBy > 2 * (imageWidth - crop.resizedWidth)
        needed.set(across.begin, down.begin, across.end - across.begin, down.end - down.begin)
        if (columnsFirst) {
            between.resize(needed.width, height)
        } else {
            between.resize(width, needed.height)
        }
        sums = IntArray(3 * maxOf(width, needed.width))
        this.imageWidth = imageWidth
        this.imageHeight = imageHeight
    }

    /**
     * Makes the crop.
     *
     * @param source RGB bytes in which the needed part begins at [start].
     * @param rowLength Bytes of a row of [source].
     */
    fun resize(
        source: ByteArray,
        start: Int,
        rowLength: Int,
        target: RgbImage,
    ) {
        target.resize(width, height)
        if (columnsFirst) {
            resizeColumns(source, start, rowLength, between)
            resizeRows(between.bytes, 0, 3 * between.width, target)
        } else {
            resizeRows(source, start, rowLength, between)
            resizeColumns(between.bytes, 0, 3 * between.width, target)
        }
    }

    private fun resizeRows(
        source: ByteArray,
        start: Int,
        rowLength: Int,
        target: RgbImage,
    ) {
        val axis = across
        val weights = axis.weights
        val bytes = target.bytes
        var to = 0
        for (y in 0 until target.height) {
            val row = start + y * rowLength - 3 * axis.begin
            for (x in 0 until axis.count) {
                var red = HALF
                var green = HALF
                var blue = HALF
                var from = row + 3 * axis.first[x]
                val weight = x * axis.taps
                for (tap in weight until weight + axis.lengths[x]) {
                    val w = weights[tap]
                    red += w * (source[from].toInt() and 255)
                    green += w * (source[from + 1].toInt() and 255)
                    blue += w * (source[from + 2].toInt() and 255)
                    from += 3
                }
                bytes[to] = clip8(red shr ResampleAxis.BITS).toByte()
                bytes[to + 1] = clip8(green shr ResampleAxis.BITS).toByte()
                bytes[to + 2] = clip8(blue shr ResampleAxis.BITS).toByte()
                to += 3
            }
        }
    }

    /** A whole row of sums at once: memory is then read in its order. */
    private fun resizeColumns(
        source: ByteArray,
        start: Int,
        rowLength: Int,
        target: RgbImage,
    ) {
        val axis = down
        val length = 3 * target.width
        val sums = sums
        val bytes = target.bytes
        for (y in 0 until axis.count) {
            sums.fill(HALF, 0, length)
            for (tap in 0 until axis.lengths[y]) {
                val w = axis.weights[y * axis.taps + tap]
                val row = start + (axis.first[y] + tap - axis.begin) * rowLength
                for (i in 0 until length) sums[i] += w * (source[row + i].toInt() and 255)
            }
            val to = y * length
            for (i in 0 until length) {
                bytes[to + i] = clip8(sums[i] shr ResampleAxis.BITS).toByte()
            }
        }
    }

    private companion object {
        const val HALF = 1 shl (ResampleAxis.BITS - 1)
    }
}

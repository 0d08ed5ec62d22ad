package org.kerasfastvit.demo.core

import kotlin.math.ceil
import kotlin.math.max
import kotlin.math.min

/**
 * Along one axis, which pixels of the source make up each pixel of the result, and with what weight.
 *
 * The weights are those of Pillow's `Image.resize` on 8-bit images, to the bit (adapted from Pillow's
 * `src/libImaging/Resample.c`, MIT-CMU licence): the filter, widened by the scale where the image
 * shrinks, at the pixels' centres, normalised to a sum of 1, then rounded to [BITS] fractional bits.
 *
 * @param sourceSize Pixels of the whole source.
 * @param resizedSize Pixels of the whole result.
 * @param offset First pixel of the result that is wanted.
 * @param count How many pixels of the result are wanted.
 */
internal class ResampleAxis(
    interpolation: Interpolation,
    sourceSize: Int,
    resizedSize: Int,
    offset: Int,
    val count: Int,
) {
    /** Most weights that a pixel of the result may have. */
    val taps: Int

    /** First pixel of the source that pixel `i` of the wanted ones needs. */
    val first = IntArray(count)

    /** How many pixels of the source it needs. */
    val lengths = IntArray(count)

    /** Their weights, of pixel `i` from index `i * taps`. */
    val weights: IntArray

    init {
        val scale = sourceSize.toDouble() / resizedSize
        val widening = max(scale, 1.0)
        val support = interpolation.support * widening
        taps = ceil(support).toInt() * 2 + 1
        weights = IntArray(count * taps)
        val exact = DoubleArray(taps)
        val shrinking = 1.0 / widening
        for (i in 0 until count) {
            val center = (offset + i + 0.5) * scale
            val start = max((center - support + 0.5).toInt(), 0)
            val length = min((center + support + 0.5).toInt(), sourceSize) - start
            var sum = 0.0
            for (j in 0 until length) {
                exact[j] = interpolation.weight((j + start - center + 0.5) * shrinking)
                sum += exact[j]
            }
            for (j in 0 until length) {
                val weight = (if (sum != 0.0) exact[j] / sum else exact[j]) * (1 shl BITS)
                weights[i * taps + j] = (if (weight < 0) weight - 0.5 else weight + 0.5).toInt()
            }
            first[i] = start
            lengths[i] = length
        }
    }

    /** First pixel of the source that any of the wanted ones needs. */
    val begin: Int get() = first[0]

    /** One past the last such pixel. */
    val end: Int get() = first[count - 1] + lengths[count - 1]

    companion object {
        /** Fractional bits of the weights: of 32, eight are the pixel's and two are for overshoot. */
        const val BITS = 32 - 8 - 2
    }
}

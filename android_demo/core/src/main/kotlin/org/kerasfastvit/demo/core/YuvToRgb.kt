package org.kerasfastvit.demo.core

/**
 * Turns a part of a [YuvFrame] into upright RGB by ITU-R BT.601, in integer arithmetic.
 *
 * With `y`, `u`, `v` less their offsets (16 or 0, 128, 128),
 *
 *     red   = y·Y + 2 (1 − Kr) · c · v
 *     green = y·Y − 2 (1 − Kb) Kb / Kg · c · u − 2 (1 − Kr) Kr / Kg · c · v
 *     blue  = y·Y + 2 (1 − Kb) · c · u
 *
 * where Kr = 0.299, Kb = 0.114, Kg = 0.587 (BT.601-7, section 2.5) and the scales `Y`, `c` are 1, 1
 * in the full range, 255/219, 255/224 in the limited one. The factors are rounded to 16 fractional
 * bits, sums to the nearest integer, halves up, and clipped to 0..255: never more than 1 from the
 * exact value, rounded. All four pixels of a sample of U and V use it as it is.
 */
internal class YuvToRgb {
    private val walk = OrientedWalk()
    private var lumaRow = ByteArray(0)
    private var uRow = ByteArray(0)
    private var vRow = ByteArray(0)

    /**
     * Converts the pixels of [part].
     *
     * @param part Of the frame as the camera holds it, before turning.
     * @param target Gets the size of the part, turned, and its pixels.
     */
    fun convert(
        frame: YuvFrame,
        orientation: Orientation,
        part: Region,
        target: RgbImage,
    ) {
        if (orientation.swapsSides) {
            target.resize(part.height, part.width)
        } else {
            target.resize(part.width, part.height)
        }
        walk.over(orientation, part.width, part.height, target.width)
        val firstChroma = part.left / 2
        val chromaCount = (part.left + part.width + 1) / 2 - firstChroma
        lumaRow = roomFor(frame.y, part.width, lumaRow)
        uRow = roomFor(frame.u, chromaCount, uRow)
        vRow = roomFor(frame.v, chromaCount, vRow)
        var chromaRow = -1
        for (y in 0 until part.height) {
            frame.y.copyRow(part.top + y, part.left, part.width, lumaRow)
            if ((part.top + y) / 2 != chromaRow) {
                chromaRow = (part.top + y) / 2
                frame.u.copyRow(chromaRow, firstChroma, chromaCount, uRow)
                frame.v.copyRow(chromaRow, firstChroma, chromaCount, vRow)
            }
            convertRow(frame, part, target.bytes, walk.start(y), walk.step)
        }
    }

    /** [row] itself, unless it is too short for that many samples with their gaps. */
    private fun roomFor(
        plane: YuvPlane,
        count: Int,
        row: ByteArray,
    ): ByteArray {
        val length = (count - 1) * plane.pixelStride + 1
        return if (row.size < length) ByteArray(length) else row
    }

    private fun convertRow(
        frame: YuvFrame,
        part: Region,
        target: ByteArray,
        start: Int,
        step: Int,
    ) {
        val limited = frame.range == YuvRange.LIMITED
        val black = if (limited) 16 else 0
        val luma = if (limited) 76309 else 65536
        val redV = if (limited) 104597 else 91881
        val greenU = if (limited) 25675 else 22553
        val greenV = if (limited) 53279 else 46802
        val blueU = if (limited) 132201 else 116130
        val lumaRow = lumaRow
        val uRow = uRow
        val vRow = vRow
        val lumaStride = frame.y.pixelStride
        val uStride = frame.u.pixelStride
        val vStride = frame.v.pixelStride
        val odd = part.left and 1
        var to = start
        for (x in 0 until part.width) {
            val chroma = (x + odd) shr 1
            val y = ((lumaRow[x * lumaStride].toInt() and 255) - black) * luma + HALF
            val u = (uRow[chroma * uStride].toInt() and 255) - 128
            val v = (vRow[chroma * vStride].toInt() and 255) - 128
            target[to] = clip8((y + redV * v) shr BITS).toByte()
            target[to + 1] = clip8((y - greenU * u - greenV * v) shr BITS).toByte()
            target[to + 2] = clip8((y + blueU * u) shr BITS).toByte()
            to += step
        }
    }

    private companion object {
        const val BITS = 16
        const val HALF = 1 shl (BITS - 1)
    }
}

/** The nearest value in 0..255. */
internal fun clip8(value: Int): Int =
    if (value < 0) {
        0
    } else if (value > 255) {
        255
    } else {
        value
    }

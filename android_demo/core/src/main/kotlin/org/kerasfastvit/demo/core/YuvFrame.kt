package org.kerasfastvit.demo.core

import java.nio.Buffer
import java.nio.ByteBuffer

/** Which values of Y, U and V a camera uses. */
public enum class YuvRange {
    /** Y, U and V in 0..255, as in JPEG: what Android's `YUV_420_888` holds. */
    FULL,

    /** Y in 16..235, U and V in 16..240, as in video. */
    LIMITED,

    ;

    public companion object {
        /**
         * The range of an Android data space (`android.hardware.DataSpace`, bits 27 to 29).
         *
         * One that does not say has the full range: `YUV_420_888` is JFIF unless stated otherwise.
         */
        public fun ofDataSpace(dataSpace: Int): YuvRange =
            if (dataSpace and RANGE_MASK == RANGE_LIMITED) LIMITED else FULL

        private const val RANGE_MASK = 7 shl 27
        private const val RANGE_LIMITED = 2 shl 27
    }
}

/**
 * A frame in YUV 4:2:0: a plane Y of full size, and planes U and V with one sample for 2×2 pixels.
 *
 * It matches Android's `YUV_420_888`: NV12, NV21 and I420 differ only in where the planes begin and
 * in their strides. A frame of odd width or height has a last column or row of U and V for it. The
 * object is made once and filled for every frame.
 */
public class YuvFrame {
    /** In pixels. */
    public var width: Int = 0
        private set

    /** In pixels. */
    public var height: Int = 0
        private set

    /** What the samples mean. */
    public var range: YuvRange = YuvRange.FULL
        private set

    /** Luma, `width × height`. */
    public val y: YuvPlane = YuvPlane()

    /** Blue difference (Cb), `ceil(width / 2) × ceil(height / 2)`. */
    public val u: YuvPlane = YuvPlane()

    /** Red difference (Cr), of the size of [u]. */
    public val v: YuvPlane = YuvPlane()

    /**
     * Declares the frame's size, once its planes point at its memory.
     *
     * @throws IllegalArgumentException if the size is not positive, or a plane's strides or memory
     *     do not fit it.
     */
    public fun describe(
        width: Int,
        height: Int,
        range: YuvRange,
    ) {
        expect(
            width > 0 && height > 0,
            { "a frame of at least 1x1 pixels" },
            { "${width}x$height" },
        )
        y.check("Y", width, height)
        u.check("U", chroma(width), chroma(height))
        v.check("V", chroma(width), chroma(height))
        this.width = width
        this.height = height
        this.range = range
    }

    public companion object {
        private fun chroma(side: Int) = (side + 1) / 2

        /**
         * A frame whose planes lie in one piece of memory, in Android's three layouts.
         *
         * @param memory The frame from index 0: rows of Y, then those of U and V.
         * @param rowStride Bytes of a row of Y; a row of interleaved U and V takes as many, made even,
         *     one of [YuvLayout.I420] half as many.
         * @throws IllegalArgumentException if the size, the stride or the memory does not fit.
         */
        public fun of(
            layout: YuvLayout,
            memory: ByteBuffer,
            width: Int,
            height: Int,
            rowStride: Int = width,
            range: YuvRange = YuvRange.FULL,
        ): YuvFrame {
            val frame = YuvFrame()
            frame.y.point(memory.duplicate(), rowStride, 1)
            val chroma = rowStride * height
            val halfStride = (rowStride + 1) / 2
            when (layout) {
                YuvLayout.NV12, YuvLayout.NV21 -> {
                    val (first, second) =
                        if (layout == YuvLayout.NV12) frame.u to frame.v else frame.v to frame.u
                    first.point(from(memory, chroma), 2 * halfStride, 2)
                    second.point(from(memory, chroma + 1), 2 * halfStride, 2)
                }

                YuvLayout.I420 -> {
                    frame.u.point(from(memory, chroma), halfStride, 1)
                    frame.v.point(from(memory, chroma + halfStride * chroma(height)), halfStride, 1)
                }
            }
            frame.describe(width, height, range)
            return frame
        }

        private fun from(
            memory: ByteBuffer,
            index: Int,
        ): ByteBuffer {
            val copy = memory.duplicate()
            val positioned: Buffer = copy
            expect(
                index in 0..copy.limit(),
                { "a frame of more than $index bytes" },
                { "${copy.limit()} bytes" },
            )
            positioned.position(index)
            return copy.slice()
        }
    }
}

/** How the planes of a frame lie in one piece of memory. */
public enum class YuvLayout {
    /** Y, then U and V interleaved. */
    NV12,

    /** Y, then V and U interleaved. */
    NV21,

    /** Y, then U, then V. */
    I420,
}

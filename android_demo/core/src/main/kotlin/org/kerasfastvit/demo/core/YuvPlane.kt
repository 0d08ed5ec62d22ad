package org.kerasfastvit.demo.core

import java.nio.Buffer
import java.nio.ByteBuffer

/**
 * One plane of a camera frame: rows of samples 0..255 with gaps between rows and between samples.
 *
 * It points at memory that belongs to the camera, and is reused from frame to frame.
 */
public class YuvPlane {
    private var buffer: ByteBuffer = ByteBuffer.allocate(0)

    /** Bytes from a sample to the one below it. */
    public var rowStride: Int = 0
        private set

    /** Bytes from a sample to the one on its right: 1, or 2 where two planes are interleaved. */
    public var pixelStride: Int = 1
        private set

    /**
     * Lets the plane point at other memory.
     *
     * @param buffer Its samples from index 0 to its limit, direct or not. Reading moves its position.
     * @param rowStride Bytes from a row to the next.
     * @param pixelStride Bytes from a sample to the next, at least 1.
     */
    public fun point(
        buffer: ByteBuffer,
        rowStride: Int,
        pixelStride: Int,
    ) {
        this.buffer = buffer
        this.rowStride = rowStride
        this.pixelStride = pixelStride
    }

    /**
     * Checks that the memory holds a plane of that size. The last row may end with its last sample.
     *
     * @throws IllegalArgumentException if a stride or the buffer is too small.
     */
    internal fun check(
        name: String,
        width: Int,
        height: Int,
    ) {
        val row = (width - 1L) * pixelStride + 1
        expect(
            pixelStride >= 1,
            { "a pixel stride of at least 1 in plane $name" },
            { "$pixelStride" },
        )
        expect(
            rowStride >= row || height == 1,
            { "a row stride of at least $row bytes in plane $name, $width samples wide" },
            { "$rowStride" },
        )
        val needed = (height - 1L) * rowStride + row
        expect(
            buffer.limit() >= needed,
            { "at least $needed bytes in plane $name of ${width}x$height samples" },
            { "${buffer.limit()}" },
        )
    }

    /**
     * Copies samples of a row, gaps between them included, in one go: sample `i` is then at
     * `i * pixelStride`.
     *
     * One bulk copy is far cheaper than a call for each sample of a direct buffer.
     *
     * @param target Of at least `(count - 1) * pixelStride + 1` bytes.
     */
    internal fun copyRow(
        row: Int,
        first: Int,
        count: Int,
        target: ByteArray,
    ) {
        // As a Buffer: ByteBuffer's own `position` came with Java 9, which old Androids lack.
        val positioned: Buffer = buffer
        positioned.position(row * rowStride + first * pixelStride)
        buffer.get(target, 0, (count - 1) * pixelStride + 1)
    }
}

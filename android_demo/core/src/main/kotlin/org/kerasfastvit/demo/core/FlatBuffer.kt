package org.kerasfastvit.demo.core

import java.nio.Buffer
import java.nio.ByteBuffer
import java.nio.ByteOrder

/**
 * Reads a FlatBuffer (flatbuffers' "internals" page).
 *
 * It comes from outside: every offset is checked before it is followed, every length before bytes are
 * copied, and no memory is taken for a count: what is small may be pointed at from many places.
 *
 * @param file From index 0 to its limit.
 * @param what How errors name it.
 */
internal class FlatBuffer(
    file: ByteBuffer,
    private val what: String,
) {
    private val file = file.duplicate().order(ByteOrder.LITTLE_ENDIAN)

    /** In bytes. */
    val size: Int get() = file.limit()

    /** Where the root table is. */
    val root: Int get() = reference(0)

    /** Where field number [number] of a table is; null if it is left out. */
    fun field(
        table: Int,
        number: Int,
    ): Int? {
        val layout = within(table.toLong() - int(table), 4)
        val entry = 4 + 2 * number
        if (entry + 2 > short(layout)) return null
        val offset = short(within(layout.toLong() + entry, 2))
        return if (offset == 0) null else within(table.toLong() + offset, 1)
    }

    /** Where the 32-bit offset at [at] leads. */
    fun reference(at: Int): Int = within(at + (int(at).toLong() and 0xFFFFFFFFL), 4)

    /** The tables of a vector of tables, as [elements]. */
    fun tables(vector: Int): List<Int> = elements(vector, 4, ::reference)

    /**
     * The elements of a vector, which begin each [width] bytes after the one before.
     *
     * [read] is given the place of one when that one is asked for, not before.
     */
    fun <T> elements(
        vector: Int,
        width: Int,
        read: (Int) -> T,
    ): List<T> {
        val count = int(vector)
        if (count < 0 || vector + 4L + width.toLong() * count > size) damaged(vector.toLong())
        return object : AbstractList<T>() {
            override val size get() = count

            override fun get(index: Int) = read(vector + 4 + width * index)
        }
    }

    /** The content of a vector of bytes, of which it may have [most]. */
    fun bytes(
        vector: Int,
        most: Int,
    ): ByteArray {
        val count = elements(vector, 1) {}.size
        if (count > most) fail("a vector of at most $most bytes", "$count")
        val result = ByteArray(count)
        val positioned: Buffer = file
        positioned.position(vector + 4)
        file.get(result)
        return result
    }

    /** Whether [bytes] are the content of a vector. */
    fun holds(
        vector: Int,
        bytes: ByteArray,
    ): Boolean {
        val content = elements(vector, 1, ::byte)
        return content.size == bytes.size && bytes.indices.all { content[it] == bytes[it] }
    }

    fun byte(at: Int): Byte = file.get(within(at.toLong(), 1))

    fun int(at: Int): Int = file.getInt(within(at.toLong(), 4))

    fun long(at: Int): Long = file.getLong(within(at.toLong(), 8))

    fun float(at: Int): Float = file.getFloat(within(at.toLong(), 4))

    /** Refuses the file. */
    fun fail(
        expected: String,
        received: String,
    ): Nothing = throw DescriptionException(what, expected, received)

    private fun short(at: Int): Int = file.getShort(within(at.toLong(), 2)).toInt() and 0xFFFF

    private fun within(
        at: Long,
        length: Int,
    ): Int {
        if (at < 0 || at + length > size) damaged(at)
        return at.toInt()
    }

    private fun damaged(at: Long): Nothing = fail("offsets within its $size bytes", "$at")
}

package org.kerasfastvit.demo.core

import java.nio.Buffer
import java.nio.ByteBuffer
import java.nio.ByteOrder

/**
 * Finds an entry of the metadata of a `.tflite` file.
 *
 * Such a file is a FlatBuffer (flatbuffers' "internals" page; TensorFlow Lite's `schema.fbs`, table
 * `Model`). It comes from outside: every offset is checked before it is followed.
 */
internal class TfliteMetadata private constructor(
    private val file: ByteBuffer,
) {
    private fun find(name: String): ByteArray? {
        if (file.limit() < 8 || bytes(4, 4).toString(Charsets.US_ASCII) != IDENTIFIER) {
            fail("a .tflite file", "${file.limit()} bytes that are none")
        }
        val model = reference(0)
        val entries = field(model, METADATA)?.let(::reference) ?: return null
        for (entry in tables(entries)) {
            val entryName = field(entry, ENTRY_NAME)?.let(::reference) ?: continue
            if (vector(entryName).toString(Charsets.UTF_8) == name) {
                return data(model, field(entry, ENTRY_BUFFER)?.let(::int) ?: 0)
            }
        }
        return null
    }

    private fun data(
        model: Int,
        index: Int,
    ): ByteArray {
        val buffers = field(model, BUFFERS)?.let(::reference)
        val buffer = buffers?.let { tables(it).elementAtOrNull(index) }
        val content = buffer?.let { field(it, BUFFER_DATA) }?.let(::reference)
        return content?.let(::vector) ?: fail("buffer $index of the metadata", "nothing there")
    }

    /** Where field number [number] of a table is; null if it is left out. */
    private fun field(
        table: Int,
        number: Int,
    ): Int? {
        val layout = within(table.toLong() - int(table), 4)
        val entry = 4 + 2 * number
        if (entry + 2 > short(layout)) return null
        val offset = short(within(layout.toLong() + entry, 2))
        return if (offset == 0) null else within(table.toLong() + offset, 4)
    }

    /** Where the 32-bit offset at [at] leads. */
    private fun reference(at: Int): Int = within(at + (int(at).toLong() and 0xFFFFFFFFL), 4)

    /** The tables of a vector of tables. */
    private fun tables(vector: Int): Sequence<Int> {
        val count = int(vector)
        if (count < 0 || vector + 4L + 4L * count > file.limit()) damaged(vector.toLong())
        return (0 until count).asSequence().map { reference(vector + 4 + 4 * it) }
    }

    private fun vector(at: Int): ByteArray = bytes(within(at + 4L, 0), int(at))

    private fun bytes(
        at: Int,
        count: Int,
    ): ByteArray {
        if (count < 0) damaged(at.toLong())
        within(at.toLong(), count)
        val result = ByteArray(count)
        val positioned: Buffer = file
        positioned.position(at)
        file.get(result)
        return result
    }

    private fun int(at: Int): Int = file.getInt(within(at.toLong(), 4))

    private fun short(at: Int): Int = file.getShort(within(at.toLong(), 2)).toInt() and 0xFFFF

    private fun within(
        at: Long,
        size: Int,
    ): Int {
        if (at < 0 || at + size > file.limit()) damaged(at)
        return at.toInt()
    }

    private fun damaged(at: Long): Nothing =
        fail("offsets within the ${file.limit()} bytes of the model file", "$at")

    private fun fail(
        expected: String,
        received: String,
    ): Nothing = throw DescriptionException("the model file", expected, received)

    companion object {
        private const val IDENTIFIER = "TFL3"

        // Numbers of fields in the schema's tables.
        private const val BUFFERS = 4
        private const val METADATA = 6
        private const val ENTRY_NAME = 0
        private const val ENTRY_BUFFER = 1
        private const val BUFFER_DATA = 0

        /**
         * Returns the content of the metadata entry of that name; null if there is none.
         *
         * @throws DescriptionException if the file is no `.tflite` file, or is damaged.
         */
        fun find(
            file: ByteBuffer,
            name: String,
        ): ByteArray? = TfliteMetadata(file.duplicate().order(ByteOrder.LITTLE_ENDIAN)).find(name)
    }
}

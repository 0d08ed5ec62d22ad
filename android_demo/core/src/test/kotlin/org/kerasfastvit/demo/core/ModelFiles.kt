package org.kerasfastvit.demo.core

import java.nio.ByteBuffer
import java.nio.ByteOrder

/**
 * The bytes of a `.tflite` file that holds nothing but metadata entries.
 *
 * Laid out by hand: root offset, identifier, then each table behind its own layout.
 */
internal fun modelFile(vararg entries: Pair<String, ByteArray>): ByteBuffer {
    val file = ByteBuffer.allocate(4096).order(ByteOrder.LITTLE_ENDIAN)
    file.putInt(0).put("TFL3".toByteArray())

    // A table of the fields' numbers and values' places, to be filled: returns place by number.
    fun table(fields: List<Int>): Pair<Int, Map<Int, Int>> {
        val layout = file.position()
        val entriesInLayout = (fields.maxOrNull() ?: -1) + 1
        file.putShort((4 + 2 * entriesInLayout).toShort()).putShort((4 + 4 * fields.size).toShort())
        for (number in 0 until entriesInLayout) {
            val place = fields.indexOf(number)
            file.putShort((if (place < 0) 0 else 4 + 4 * place).toShort())
        }
        val start = file.position()
        file.putInt(start - layout)
        fields.forEach { _ -> file.putInt(0) }
        return start to fields.withIndex().associate { (i, number) -> number to start + 4 + 4 * i }
    }

    fun refer(place: Int) = file.putInt(place, file.position() - place)

    fun vector(bytes: ByteArray) {
        file.putInt(bytes.size).put(bytes)
    }

    fun tables(
        count: Int,
        make: (Int) -> Int,
    ) {
        file.putInt(count)
        val places = List(count) { file.position() + 4 * it }
        repeat(count) { file.putInt(0) }
        places.forEachIndexed { i, place -> file.putInt(place, make(i) - place) }
    }

    val (model, fields) = table(listOf(4, 6))
    file.putInt(0, model)
    refer(fields.getValue(4))
    tables(entries.size + 1) { i ->
        // The first buffer of every file is empty.
        val (start, inner) = table(if (i == 0) emptyList() else listOf(0))
        if (i > 0) {
            refer(inner.getValue(0))
            vector(entries[i - 1].second)
        }
        start
    }
    refer(fields.getValue(6))
    tables(entries.size) { i ->
        val (start, inner) = table(listOf(0, 1))
        file.putInt(inner.getValue(1), i + 1)
        refer(inner.getValue(0))
        vector(entries[i].first.toByteArray())
        start
    }
    file.flip()
    return file
}

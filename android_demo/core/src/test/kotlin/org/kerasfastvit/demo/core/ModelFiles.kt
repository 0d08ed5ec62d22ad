package org.kerasfastvit.demo.core

import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.util.IdentityHashMap

/** A part of a FlatBuffer. */
internal sealed interface Flat

/** A number, in a table's own bytes. */
internal class Number(
    vararg val bytes: Byte,
) : Flat

/** A vector of [count] numbers or, of bytes, a text. */
internal class Numbers(
    val count: Int,
    val bytes: ByteArray,
) : Flat

/** A vector of tables. */
internal class Tables(
    val items: List<Table>,
) : Flat

/** A table: its fields by their numbers. */
internal class Table(
    vararg fields: Pair<Int, Flat>,
) : Flat {
    val fields = fields.sortedBy { it.first }.toMap()
}

internal fun ints(vararg values: Int) =
    Numbers(
        values.size,
        packed(4 * values.size) {
            values.forEach(::putInt)
        },
    )

internal fun longs(vararg values: Long) =
    Numbers(
        values.size,
        packed(8 * values.size) {
            values.forEach(::putLong)
        },
    )

internal fun floats(vararg values: Float) =
    Numbers(
        values.size,
        packed(4 * values.size) {
            values.forEach(::putFloat)
        },
    )

internal fun text(bytes: ByteArray) = Numbers(bytes.size, bytes)

/** A tensor of `schema.fbs`, quantised as a whole. */
internal fun tensor(
    shape: Numbers,
    type: Byte,
    scale: Float? = null,
    zeroPoint: Long? = null,
) = Table(
    0 to shape,
    1 to Number(type, 0, 0, 0),
    4 to
        Table(
            2 to (if (scale == null) floats() else floats(scale)),
            3 to (if (zeroPoint == null) longs() else longs(zeroPoint)),
        ),
)

internal const val INT8: Byte = 9

/** The tensors that `SIDECAR` describes. */
internal val SIDECAR_TENSORS =
    listOf(
        tensor(ints(1, 64, 48, 3), INT8, 0.0186f, -14),
        tensor(ints(1, 3), INT8, 0.1f, 3),
    )

/**
 * The bytes of a `.tflite` file without operators.
 *
 * @param copies How often the metadata lists each entry, which is there once.
 * @param capacity Bytes that are enough.
 */
internal fun modelFile(
    vararg entries: Pair<String, ByteArray>,
    tensors: List<Table> = SIDECAR_TENSORS,
    inputs: Numbers = ints(0),
    outputs: Numbers = ints(1),
    copies: Int = 1,
    capacity: Int = 8192,
): ByteBuffer {
    // The first buffer of every file is empty.
    val buffers = listOf(Table()) + entries.map { (_, content) -> Table(0 to text(content)) }
    val metadata =
        entries.withIndex().flatMap { (i, entry) ->
            val name = text(entry.first.toByteArray())
            val table = Table(0 to name, 1 to Number((i + 1).toByte(), 0, 0, 0))
            List(copies) { table }
        }
    val graph = Table(0 to Tables(tensors), 1 to inputs, 2 to outputs)
    return flatBuffer(
        Table(2 to Tables(listOf(graph)), 4 to Tables(buffers), 6 to Tables(metadata)),
        capacity,
    )
}

/** Lays a root table out: it first, then what it refers to, as offsets lead forwards only. */
private fun flatBuffer(
    root: Table,
    capacity: Int,
): ByteBuffer {
    val file = ByteBuffer.allocate(capacity).order(ByteOrder.LITTLE_ENDIAN)
    file.putInt(0).put("TFL3".toByteArray())
    file.putInt(0, file.write(root))
    file.flip()
    return file
}

/** Writes a part behind what there is, and returns where it begins. */
private fun ByteBuffer.write(part: Flat): Int =
    when (part) {
        is Table -> {
            writeTable(part)
        }

        is Tables -> {
            val start = position()
            putInt(part.items.size)
            val places = List(part.items.size) { position().also { putInt(0) } }
            val starts = IdentityHashMap<Table, Int>()
            places.zip(part.items) { place, item ->
                putInt(place, starts.getOrPut(item) { write(item) } - place)
            }
            start
        }

        is Numbers -> {
            position().also { putInt(part.count).put(part.bytes) }
        }

        is Number -> {
            error("a number has no place of its own")
        }
    }

private fun ByteBuffer.writeTable(table: Table): Int {
    val layout = position()
    val numbers = table.fields.keys.toList()
    val count = (numbers.maxOrNull() ?: -1) + 1
    putShort((4 + 2 * count).toShort()).putShort((4 + 4 * numbers.size).toShort())
    for (number in 0 until count) {
        val place = numbers.indexOf(number)
        putShort((if (place < 0) 0 else 4 + 4 * place).toShort())
    }
    val start = position()
    putInt(start - layout)
    val places = numbers.map { position().also { putInt(0) } }
    places.zip(table.fields.values.toList()) { place, value ->
        if (value is Number) {
            value.bytes.forEachIndexed { i, byte -> put(place + i, byte) }
        } else {
            putInt(place, write(value) - place)
        }
    }
    return start
}

private fun packed(
    size: Int,
    fill: ByteBuffer.() -> Unit,
): ByteArray =
    ByteBuffer
        .allocate(size)
        .order(ByteOrder.LITTLE_ENDIAN)
        .apply(fill)
        .array()

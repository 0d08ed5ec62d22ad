package org.kerasfastvit.demo.core

import java.nio.ByteBuffer

/**
 * What the app reads of a `.tflite` file by itself: entries of its metadata, its input and its output.
 *
 * Such a file is a FlatBuffer of TensorFlow Lite's `schema.fbs`; the numbers are those of the
 * schema's fields.
 *
 * @param content The file, from index 0 to the limit; mapped memory will do.
 * @throws DescriptionException if it is no such file; from every function also if it is damaged.
 */
internal class TfliteFile(
    content: ByteBuffer,
) {
    private val file = FlatBuffer(content, "the model file")

    init {
        val named = file.size >= 8 && file.int(4) == IDENTIFIER
        if (!named) file.fail("a .tflite file", "${file.size} bytes that are none")
    }

    /** The content of the metadata entry of that name, of [most] bytes; null if there is none. */
    fun metadata(
        name: String,
        most: Int,
    ): ByteArray? {
        val entries = inModel(MODEL_METADATA) ?: return null
        val wanted = name.toByteArray()
        for (entry in file.tables(entries)) {
            val entryName = file.field(entry, METADATA_NAME)?.let(file::reference) ?: continue
            if (file.holds(entryName, wanted)) {
                return buffer(file.field(entry, METADATA_BUFFER)?.let(file::int) ?: 0, most)
            }
        }
        return null
    }

    /** The inputs of the model, in its order; each is read when it is asked for. */
    val inputs: List<TfliteTensor> get() = ends(SUBGRAPH_INPUTS)

    /** The outputs of the model, in its order; each is read when it is asked for. */
    val outputs: List<TfliteTensor> get() = ends(SUBGRAPH_OUTPUTS)

    private fun buffer(
        index: Int,
        most: Int,
    ): ByteArray {
        val table = inModel(MODEL_BUFFERS)?.let { file.tables(it).getOrNull(index) }
        val content = table?.let { file.field(it, BUFFER_DATA) }?.let(file::reference)
        if (content == null) file.fail("buffer $index of the metadata", "nothing")
        return file.bytes(content, most)
    }

    /** Which tensors of the first graph field [which] names. */
    private fun ends(which: Int): List<TfliteTensor> {
        val graph =
            inModel(MODEL_SUBGRAPHS)?.let { file.tables(it).firstOrNull() }
                ?: file.fail("a graph", "none")
        val tensors = file.field(graph, SUBGRAPH_TENSORS)?.let(file::reference)?.let(file::tables)
        val indices = file.field(graph, which)?.let(file::reference) ?: return emptyList()
        return file.elements(indices, Int.SIZE_BYTES) { at ->
            val index = file.int(at)
            tensor(tensors?.getOrNull(index) ?: file.fail("a tensor $index", "nothing there"))
        }
    }

    private fun tensor(table: Int): TfliteTensor {
        val quantization = file.field(table, TENSOR_QUANTIZATION)?.let(file::reference)
        return TfliteTensor(
            shape = numbers(table, TENSOR_SHAPE, Int.SIZE_BYTES, file::int),
            // The schema's default: float32.
            type = file.field(table, TENSOR_TYPE)?.let(file::byte)?.toInt() ?: 0,
            scales =
                numbers(quantization, QUANTIZATION_SCALE, Float.SIZE_BYTES, file::float),
            zeroPoints =
                numbers(quantization, QUANTIZATION_ZERO_POINT, Long.SIZE_BYTES, file::long),
        )
    }

    private fun <T> numbers(
        table: Int?,
        number: Int,
        width: Int,
        read: (Int) -> T,
    ): List<T> {
        val vector = table?.let { file.field(it, number) }?.let(file::reference)
        val numbers = vector?.let { file.elements(it, width, read) }.orEmpty()
        if (numbers.size > MOST_NUMBERS) {
            file.fail("at most $MOST_NUMBERS sides or scales of a tensor", "${numbers.size}")
        }
        return numbers.toList()
    }

    private fun inModel(number: Int): Int? = file.field(file.root, number)?.let(file::reference)

    private companion object {
        /** TFL3, read as a number. */
        const val IDENTIFIER = 0x334C4654

        /** Of a shape or of a quantisation: twice what any model has that the app can run. */
        const val MOST_NUMBERS = 8
        const val MODEL_SUBGRAPHS = 2
        const val MODEL_BUFFERS = 4
        const val MODEL_METADATA = 6
        const val SUBGRAPH_TENSORS = 0
        const val SUBGRAPH_INPUTS = 1
        const val SUBGRAPH_OUTPUTS = 2
        const val TENSOR_SHAPE = 0
        const val TENSOR_TYPE = 1
        const val TENSOR_QUANTIZATION = 4
        const val QUANTIZATION_SCALE = 2
        const val QUANTIZATION_ZERO_POINT = 3
        const val METADATA_NAME = 0
        const val METADATA_BUFFER = 1
        const val BUFFER_DATA = 0
    }
}

/**
 * A tensor as the file declares it.
 *
 * @property type Number of the schema's enumeration `TensorType`.
 * @property scales None of a float tensor, one of a tensor that is quantised as a whole.
 * @property zeroPoints As many.
 */
internal data class TfliteTensor(
    val shape: List<Int>,
    val type: Int,
    val scales: List<Float>,
    val zeroPoints: List<Long>,
)

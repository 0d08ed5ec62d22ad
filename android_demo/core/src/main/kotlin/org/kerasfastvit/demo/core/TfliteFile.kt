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
        val named = file.size >= 8 && file.bytes(4, 4).toString(Charsets.US_ASCII) == "TFL3"
        if (!named) file.fail("a .tflite file", "${file.size} bytes that are none")
    }

    /** The content of the metadata entry of that name; null if there is none. */
    fun metadata(name: String): ByteArray? {
        val entries = inModel(MODEL_METADATA) ?: return null
        for (entry in file.tables(entries)) {
            val entryName = file.field(entry, METADATA_NAME)?.let(file::reference) ?: continue
            if (file.vector(entryName).toString(Charsets.UTF_8) == name) {
                return buffer(file.field(entry, METADATA_BUFFER)?.let(file::int) ?: 0)
            }
        }
        return null
    }

    /** The inputs of the model, in its order. */
    val inputs: List<TfliteTensor> get() = ends(SUBGRAPH_INPUTS)

    /** The outputs of the model, in its order. */
    val outputs: List<TfliteTensor> get() = ends(SUBGRAPH_OUTPUTS)

    private fun buffer(index: Int): ByteArray {
        val table = inModel(MODEL_BUFFERS)?.let { file.tables(it).getOrNull(index) }
        val content = table?.let { file.field(it, BUFFER_DATA) }?.let(file::reference)
        return content?.let(file::vector) ?: file.fail("buffer $index of the metadata", "nothing")
    }

    /** Which tensors of the first graph field [which] names. */
    private fun ends(which: Int): List<TfliteTensor> {
        val graph =
            inModel(MODEL_SUBGRAPHS)?.let { file.tables(it).firstOrNull() }
                ?: file.fail("a graph", "none")
        val tensors = file.field(graph, SUBGRAPH_TENSORS)?.let(file::reference)?.let(file::tables)
        val indices = file.field(graph, which)?.let(file::reference) ?: return emptyList()
        return file.elements(indices, Int.SIZE_BYTES).map { at ->
            val index = file.int(at)
            tensor(tensors?.getOrNull(index) ?: file.fail("a tensor $index", "nothing there"))
        }
    }

    private fun tensor(table: Int): TfliteTensor {
        val quantization = file.field(table, TENSOR_QUANTIZATION)?.let(file::reference)
        return TfliteTensor(
            shape = elements(table, TENSOR_SHAPE, Int.SIZE_BYTES).map(file::int),
            // The schema's default: float32.
            type = file.field(table, TENSOR_TYPE)?.let(file::byte)?.toInt() ?: 0,
            scales =
                elements(quantization, QUANTIZATION_SCALE, Float.SIZE_BYTES).map(file::float),
            zeroPoints =
                elements(quantization, QUANTIZATION_ZERO_POINT, Long.SIZE_BYTES).map(file::long),
        )
    }

    private fun elements(
        table: Int?,
        number: Int,
        width: Int,
    ): List<Int> {
        val vector = table?.let { file.field(it, number) }?.let(file::reference)
        return vector?.let { file.elements(it, width) }.orEmpty()
    }

    private fun inModel(number: Int): Int? = file.field(file.root, number)?.let(file::reference)

    private companion object {
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

package org.kerasfastvit.demo.core

/**
 * Checks that a file has the tensors of its description: their number, shapes, types, scales and
 * zero points. With the description's own checks, there is then a label for each score.
 *
 * @throws DescriptionException if one differs; it names the field of the description.
 */
internal fun ModelDescription.checkTensors(file: TfliteFile) {
    check("input", input.tensor, file.inputs)
    check("output", output.tensor, file.outputs)
}

private fun check(
    field: String,
    described: TensorDescription,
    tensors: List<TfliteTensor>,
) {
    fun compare(
        member: String,
        expected: Any?,
        received: Any?,
    ) {
        if (expected != received) {
            throw DescriptionException("$field.$member", "$expected, as in the file", "$received")
        }
    }
    val tensor =
        tensors.singleOrNull()
            ?: throw DescriptionException(field, "a model with one $field", "${tensors.size}")
    compare("shape", tensor.shape, described.shape)
    compare("dtype", TYPES[tensor.type] ?: "type ${tensor.type}", described.dtype)
    val quantization = described.quantization
    compare("scale", tensor.scales, listOfNotNull(quantization?.scale))
    compare("zero_point", tensor.zeroPoints, listOfNotNull(quantization?.zeroPoint?.toLong()))
}

/** By their numbers in `schema.fbs`. */
private val TYPES = mapOf(0 to TensorType.FLOAT32, 9 to TensorType.INT8)

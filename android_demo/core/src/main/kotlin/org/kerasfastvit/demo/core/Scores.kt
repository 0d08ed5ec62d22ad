package org.kerasfastvit.demo.core

import kotlin.math.exp

/**
 * From a model's output to scores, one a class, in memory that is reused.
 *
 * Int8 values are dequantised; where the sidecar says that a softmax is left to the app, it is
 * applied, with the largest logit subtracted first so that nothing overflows.
 */
public class Scores(
    private val description: OutputDescription,
) {
    /** One for each class: probabilities if the sidecar asks for a softmax, else what came out. */
    public val values: FloatArray = FloatArray(description.classes)

    /** Reads the output of a model with int8 output. */
    public fun read(output: ByteArray) {
        val quantization = description.tensor.quantization
        expect(
            quantization != null && output.size == values.size,
            { "the ${description.tensor.dtype} output of ${values.size} classes" },
            { "${output.size} values of INT8" },
        )
        for (i in values.indices) values[i] = quantization!!.dequantize(output[i])
        activate()
    }

    /** Reads the output of a model with float32 output. */
    public fun read(output: FloatArray) {
        expect(
            description.tensor.quantization == null && output.size == values.size,
            { "the ${description.tensor.dtype} output of ${values.size} classes" },
            { "${output.size} values of FLOAT32" },
        )
        output.copyInto(values)
        activate()
    }

    private fun activate() {
        if (description.activation == Activation.SOFTMAX) softmax(values)
    }
}

/** Turns logits into probabilities, in place; sums in float64. */
internal fun softmax(values: FloatArray) {
    var largest = Float.NEGATIVE_INFINITY
    for (value in values) if (value > largest) largest = value
    var sum = 0.0
    for (value in values) sum += exp((value - largest).toDouble())
    for (i in values.indices) values[i] = (exp((values[i] - largest).toDouble()) / sum).toFloat()
}

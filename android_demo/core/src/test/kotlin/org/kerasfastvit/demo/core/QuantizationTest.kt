package org.kerasfastvit.demo.core

import kotlin.math.abs
import kotlin.math.exp
import kotlin.random.Random
import kotlin.test.Test
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertTrue

class QuantizationTest {
    private val random = Random(4)

    @Test
    fun `there and back is within half a step`() {
        repeat(20_000) {
            val quantization =
                Quantization(random.nextDouble(1e-4, 2.0).toFloat(), random.nextInt(-128, 128))
            val lowest = quantization.dequantize(-128)
            val highest = quantization.dequantize(127)
            val value = random.nextDouble(lowest.toDouble(), highest.toDouble()).toFloat()
            val back = quantization.dequantize(quantization.quantize(value))
            assertTrue(
                abs(back - value) <= quantization.scale * 0.5001f,
                "$quantization $value $back",
            )
        }
    }

    @Test
    fun `back and there is the same`() {
        for (scale in listOf(0.0186f, 1f, 1e-3f)) {
            for (zeroPoint in listOf(-128, -14, 0, 127)) {
                val quantization = Quantization(scale, zeroPoint)
                for (value in Byte.MIN_VALUE..Byte.MAX_VALUE) {
                    val byte = value.toByte()
                    assertEquals(byte, quantization.quantize(quantization.dequantize(byte)))
                }
            }
        }
    }

    @Test
    fun `halves go to the even side, the rest is clipped`() {
        val quantization = Quantization(1f, 0)
        assertEquals(
            listOf<Byte>(0, 2, 2, 0, -2, 127, -128),
            listOf(0.5f, 1.5f, 2.5f, -0.5f, -1.5f, 1e9f, -1e9f).map(quantization::quantize),
        )
    }

    @Test
    fun `a table holds each channel's own values`() {
        val description = inputDescription(8, 8, cropPct = 1.0)
        val floats = inputDescription(8, 8, cropPct = 1.0, quantization = null)
        val image = noise(random, 8, 8).toRgb()
        val int8 =
            FramePreprocessor(
                description,
            ).also { it.prepare(image) }.input as ModelInput.Int8
        val float32 =
            FramePreprocessor(
                floats,
            ).also { it.prepare(image) }.input as ModelInput.Float32
        for (i in 0 until 8 * 8 * 3) {
            val value = image.bytes[i].toInt() and 255
            val mean = description.mean[i % 3]
            val std = description.std[i % 3]
            val expected = (value / 255f - mean) / std
            assertEquals(expected, float32.values[i])
            assertEquals(description.tensor.quantization!!.quantize(expected), int8.values[i])
        }
    }

    private fun output(
        classes: Int,
        activation: Activation,
        quantization: Quantization?,
    ) = OutputDescription(
        TensorDescription(
            "output",
            listOf(1, classes),
            if (quantization == null) TensorType.FLOAT32 else TensorType.INT8,
            quantization,
        ),
        activation,
    )

    @Test
    fun `softmax gives probabilities, whatever the logits`() {
        val scores = Scores(output(3, Activation.SOFTMAX, null))
        for (shift in listOf(0f, 1e4f, -1e4f)) {
            scores.read(floatArrayOf(1f + shift, 2f + shift, 4f + shift))
            val sum = exp(1.0) + exp(2.0) + exp(4.0)
            assertEquals(exp(4.0) / sum, scores.values[2].toDouble(), 1e-6)
            assertEquals(1f, scores.values.sum(), 1e-6f)
        }
        scores.read(floatArrayOf(-1e30f, 0f, 1e30f))
        assertEquals(listOf(0f, 0f, 1f), scores.values.toList())
    }

    @Test
    fun `an int8 output is dequantized, and of another type refused`() {
        val scores = Scores(output(3, Activation.LINEAR, Quantization(0.5f, -3)))
        scores.read(byteArrayOf(-3, 0, 127))
        assertEquals(listOf(0f, 1.5f, 65f), scores.values.toList())
        assertFailsWith<IllegalArgumentException> { scores.read(FloatArray(3)) }
        assertFailsWith<IllegalArgumentException> { scores.read(ByteArray(4)) }
    }
}

package org.kerasfastvit.demo.engine

import org.kerasfastvit.demo.core.Activation
import org.kerasfastvit.demo.core.EngineException
import org.kerasfastvit.demo.core.ModelDescription
import org.kerasfastvit.demo.core.ModelInput
import org.kerasfastvit.demo.core.Scores
import org.kerasfastvit.demo.core.Sidecar
import java.io.File
import java.nio.file.Files
import kotlin.test.Test
import kotlin.test.assertContentEquals
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertTrue

/** The exported file, run here and by Python's LiteRT (`toolchain/expected_logits.py`). */
class JvmEngineTest {
    private val model =
        File(System.getProperty("project"), "build/android/models/fashion_mnist.tflite")
    private val description = Sidecar.parse(sibling(".json").readBytes()).logits()
    private val inputs = sibling("_inputs.bin").readBytes()
    private val expected = sibling("_outputs.bin").readBytes()

    private fun sibling(ending: String) = File(model.path.removeSuffix(".tflite") + ending)

    private fun ModelDescription.logits() =
        copy(output = output.copy(activation = Activation.LINEAR))

    @Test
    fun `logits are bit-equal to Python's`() {
        val input = ModelInput.of(description.input) as ModelInput.Int8
        val scores = Scores(description.output)
        val quantization = description.output.tensor.quantization!!
        val classes = description.output.classes
        val count = expected.size / classes
        assertTrue(count >= 16, "$count inputs")
        assertEquals(count * input.values.capacity(), inputs.size)
        JvmEngine(model.path, description).use { engine ->
            repeat(count) { index ->
                inputs.copyInto(
                    input.values.array(),
                    0,
                    index * input.values.capacity(),
                    (index + 1) * input.values.capacity(),
                )
                engine.run(input, scores)
                val wanted =
                    FloatArray(classes) {
                        quantization.dequantize(
                            expected[
                                index * classes +
                                    it,
                            ],
                        )
                    }
                assertContentEquals(wanted, scores.values, "input $index")
            }
        }
    }

    @Test
    fun `a file that is no model is refused`() {
        val file = Files.createTempFile("no_model", ".tflite").toFile()
        try {
            file.writeBytes(ByteArray(1000))
            val error = assertFailsWith<EngineException> { JvmEngine(file.path, description) }
            assertTrue("Received: status" in error.message!!, error.message)
        } finally {
            file.delete()
        }
    }

    @Test
    fun `a description of other tensors is refused`() {
        val tensor = description.output.tensor.copy(shape = listOf(1, 11))
        val other = description.copy(output = description.output.copy(tensor = tensor))
        val error = assertFailsWith<EngineException> { JvmEngine(model.path, other) }
        assertTrue("[1, 11]" in error.message!!, error.message)
    }
}

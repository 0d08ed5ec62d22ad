package org.kerasfastvit.demo.engine

import org.kerasfastvit.demo.core.Activation
import org.kerasfastvit.demo.core.EngineException
import org.kerasfastvit.demo.core.FramePreprocessor
import org.kerasfastvit.demo.core.ModelDescription
import org.kerasfastvit.demo.core.RecordedFrames
import org.kerasfastvit.demo.core.Scores
import org.kerasfastvit.demo.core.TopClasses
import java.nio.file.Files
import kotlin.test.Test
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertTrue

/** From camera frames to ranked classes, by the exported files, against Python on the same frames. */
class JvmEngineTest {
    private val model = RecordedFrames.file("fashion_mnist").path
    private val description = RecordedFrames.description("fashion_mnist")

    private fun ModelDescription.withoutSoftmax() =
        copy(output = output.copy(activation = Activation.LINEAR))

    private fun compare(model: String) {
        val description = RecordedFrames.description(model).withoutSoftmax()
        val pipeline = FramePreprocessor(description.input)
        val scores = Scores(description.output)
        val best = TopClasses(1)
        val expected = RecordedFrames.logits(model)
        JvmEngine(RecordedFrames.file(model).path, description).use { engine ->
            val count =
                RecordedFrames.forEach { index, frame, orientation ->
                    pipeline.prepare(frame, orientation)
                    engine.run(pipeline.input, scores)
                    val wanted = List(scores.values.size) { expected.getFloat() }
                    assertEquals(
                        wanted.map { it.toRawBits() },
                        scores.values.map { it.toRawBits() },
                        "frame $index: $orientation, logits $wanted, ${scores.values.toList()}",
                    )
                    best.rank(scores.values, 1, Float.NEGATIVE_INFINITY)
                    assertEquals(wanted.indexOf(wanted.max()), best.label(0), "frame $index")
                }
            assertTrue(count >= 200, "$count frames")
        }
        assertEquals(0, expected.remaining(), "bytes left over")
    }

    @Test
    fun `the logits of int8 at 64 pixels are Python's`() = compare("fashion_mnist")

    @Test
    fun `the logits of int8 at 256 pixels are Python's`() = compare("fashion_mnist_256")

    @Test
    fun `the logits of float32 are Python's`() = compare("fashion_mnist_float32")

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
        val error = assertFailsWith<EngineException> { JvmEngine(model, other) }
        assertTrue("[1, 11]" in error.message!!, error.message)
    }
}

package org.kerasfastvit.demo.core

import kotlin.test.Test
import kotlin.test.assertEquals
import kotlin.test.assertTrue

/** The model's input, against Python's on the same frames. */
class FramesAgainstPythonTest {
    private fun compare(model: String) {
        val pipeline = FramePreprocessor(RecordedFrames.description(model).input)
        val expected = RecordedFrames.inputs(model)
        val count =
            RecordedFrames.forEach { index, frame, orientation ->
                pipeline.prepare(frame, orientation)
                val wrong =
                    when (val input = pipeline.input) {
                        is ModelInput.Int8 -> {
                            input.values.array().count { it != expected.get() }
                        }

                        // Bits: a comparison of floats takes −0 for 0.
                        is ModelInput.Float32 -> {
                            input.values.array().count { it.toRawBits() != expected.getInt() }
                        }
                    }
                assertEquals(0, wrong, "values of frame $index: $orientation")
            }
        assertTrue(count >= 200, "$count frames")
        assertEquals(0, expected.remaining(), "bytes left over")
    }

    @Test
    fun `the int8 inputs at 64 pixels are Python's`() = compare("fashion_mnist")

    @Test
    fun `the int8 inputs at 256 pixels are Python's`() = compare("fashion_mnist_256")

    @Test
    fun `the float32 inputs are Python's`() = compare("fashion_mnist_float32")
}

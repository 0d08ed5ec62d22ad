package org.kerasfastvit.demo.core

import java.io.File
import java.io.RandomAccessFile
import java.nio.ByteBuffer
import java.nio.channels.FileChannel
import kotlin.test.Test
import kotlin.test.assertEquals
import kotlin.test.assertTrue

/** The model's input, against Python's on the same frames: `reference/frames.py` has written both. */
class FramesAgainstPythonTest {
    private val folder = File(System.getProperty("project"), "build/android/frames")
    private val frames =
        JsonField(JsonReader.WHOLE, JsonReader.read(File(folder, "frames.json").readBytes()))
            .elements()

    /** The frame `index`, in memory like a camera's: direct, not to be written. */
    private fun frame(
        entry: JsonField,
        memory: FileChannel,
    ): YuvFrame {
        val offset = entry.whole("offset").toLong()
        val length = entry.whole("length").toLong()
        return YuvFrame.of(
            YuvLayout.valueOf(entry.member("layout").text()),
            memory.map(FileChannel.MapMode.READ_ONLY, offset, length),
            entry.whole("width"),
            entry.whole("height"),
            entry.whole("row_stride"),
            YuvRange.valueOf(entry.member("range").text()),
        )
    }

    private fun JsonField.whole(name: String): Int =
        member(name).wholeNumber(0L..Int.MAX_VALUE).toInt()

    private fun compare(size: Int) {
        val description = Sidecar.parse(File(folder, "$size.json").readBytes())
        val expected = ByteBuffer.wrap(File(folder, "inputs_$size.bin").readBytes())
        val pipeline = FramePreprocessor(description.input)
        val input = pipeline.input as ModelInput.Int8
        assertTrue(frames.size >= 200, "${frames.size} frames")
        assertEquals(frames.size * input.values.capacity(), expected.capacity())
        RandomAccessFile(File(folder, "frames.bin"), "r").use { file ->
            for ((i, entry) in frames.withIndex()) {
                val orientation =
                    Orientation(entry.whole("degrees"), mirrored = entry.whole("mirrored") == 1)
                pipeline.prepare(frame(entry, file.channel), orientation)
                val wanted = ByteArray(input.values.capacity()).also { expected.get(it) }
                val wrong = wanted.indices.count { wanted[it] != input.values.array()[it] }
                assertEquals(0, wrong, "bytes of frame $i: $orientation")
            }
        }
    }

    @Test
    fun `the bytes at 64 pixels are Python's`() = compare(64)

    @Test
    fun `the bytes at 256 pixels are Python's`() = compare(256)
}

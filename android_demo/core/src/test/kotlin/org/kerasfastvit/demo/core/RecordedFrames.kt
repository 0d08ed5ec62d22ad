package org.kerasfastvit.demo.core

import java.io.File
import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.nio.channels.FileChannel
import java.nio.file.StandardOpenOption

/** Camera frames, and what Python makes of them: what `reference/frames.py` has written. */
object RecordedFrames {
    /** The exported models: int8 at the default size and at 256 pixels, and float32. */
    val MODELS: List<String> = listOf("fashion_mnist", "fashion_mnist_256", "fashion_mnist_float32")

    private val build = File(System.getProperty("project"), "build/android")
    private val list = JsonReader.read(mapped("frames/frames.json").bytes())

    /** A `.tflite` file. */
    fun file(model: String): File = File(build, "models/$model.tflite")

    /** Its sidecar. */
    fun description(model: String): ModelDescription =
        Sidecar.parse(mapped("models/$model.json").bytes())

    /** Python's inputs of the model for all frames, one after another. */
    fun inputs(model: String): ByteBuffer = mapped("frames/${model}_inputs.bin")

    /** Python's outputs of the model for all frames, dequantised; before a softmax. */
    fun logits(model: String): ByteBuffer = mapped("frames/${model}_logits.bin")

    /** Gives [use] each frame, in memory like a camera's, and how it is to be turned; their count. */
    fun forEach(use: (index: Int, frame: YuvFrame, orientation: Orientation) -> Unit): Int {
        val entries = JsonField(JsonReader.WHOLE, list).elements()
        val memory = mapped("frames/frames.bin")
        entries.forEachIndexed { index, entry ->
            fun number(name: String) = entry.member(name).wholeNumber(0L..Int.MAX_VALUE).toInt()
            memory.limit(number("offset") + number("length")).position(number("offset"))
            val frame =
                YuvFrame.of(
                    YuvLayout.valueOf(entry.member("layout").text()),
                    memory.slice(),
                    number("width"),
                    number("height"),
                    number("row_stride"),
                    YuvRange.valueOf(entry.member("range").text()),
                )
            use(index, frame, Orientation(number("degrees"), mirrored = number("mirrored") == 1))
        }
        return entries.size
    }

    /** Direct, not to be written, in the byte order that Python has written. */
    private fun mapped(path: String): ByteBuffer {
        val file = File(build, path)
        check(file.isFile) { "Expected $file, which `make android` writes. Received: no such file" }
        return FileChannel.open(file.toPath(), StandardOpenOption.READ).use {
            it.map(FileChannel.MapMode.READ_ONLY, 0, it.size()).order(ByteOrder.nativeOrder())
        }
    }

    private fun ByteBuffer.bytes() = ByteArray(remaining()).also { get(it) }
}

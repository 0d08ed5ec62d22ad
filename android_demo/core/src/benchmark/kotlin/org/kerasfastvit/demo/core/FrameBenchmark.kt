package org.kerasfastvit.demo.core

import java.io.File
import java.nio.ByteBuffer

/**
 * Times the frame pipeline when it is told to, so that another program can take turns with it:
 * `reference/benchmark.py` does.
 *
 * Arguments: a sidecar, a file with one NV21 frame in full range, its width and height, degrees. For
 * each line on its input it prepares the frame once and prints the nanoseconds that it took.
 */
fun main(arguments: Array<String>) {
    val description = Sidecar.parse(File(arguments[0]).readBytes())
    val content = File(arguments[1]).readBytes()
    val memory = ByteBuffer.allocateDirect(content.size)
    memory.put(content)
    val frame =
        YuvFrame.of(YuvLayout.NV21, memory, arguments[2].toInt(), arguments[3].toInt())
    val orientation = Orientation(arguments[4].toInt())
    val pipeline = FramePreprocessor(description.input)
    while (readlnOrNull() != null) {
        val start = System.nanoTime()
        pipeline.prepare(frame, orientation)
        println(System.nanoTime() - start)
    }
}

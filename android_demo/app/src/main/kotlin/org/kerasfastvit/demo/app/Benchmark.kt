package org.kerasfastvit.demo.app

import org.kerasfastvit.demo.core.LatencyStatistics
import org.kerasfastvit.demo.core.Orientation
import org.kerasfastvit.demo.core.YuvFrame
import org.kerasfastvit.demo.core.YuvLayout
import java.nio.ByteBuffer
import kotlin.random.Random

/** The whole way from a camera's frame to ranked classes, again and again on one frame. */
class Benchmark(
    private val classifier: Classifier,
) {
    /** Runs until it is done or [stopped]; returns the times without those of the warm-up. */
    fun run(stopped: () -> Boolean): LatencyStatistics {
        val memory = ByteBuffer.allocateDirect(WIDTH * HEIGHT * 3 / 2)
        memory.put(Random(0).nextBytes(memory.capacity()))
        memory.rewind()
        val frame = YuvFrame.of(YuvLayout.NV21, memory, WIDTH, HEIGHT)
        repeat(WARM_UP) { if (!stopped()) classifier.classify(frame, UPRIGHT, 0) }
        classifier.latencies.reset()
        repeat(RUNS) { if (!stopped()) classifier.classify(frame, UPRIGHT, 0) }
        return classifier.latencies
    }

    private companion object {
        const val WIDTH = 1280
        const val HEIGHT = 720
        const val WARM_UP = 20
        const val RUNS = 100

        /** As most back cameras lie in a phone that is held upright. */
        val UPRIGHT = Orientation(90)
    }
}

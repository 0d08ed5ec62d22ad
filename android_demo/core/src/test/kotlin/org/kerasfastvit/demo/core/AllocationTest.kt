package org.kerasfastvit.demo.core

import com.sun.management.ThreadMXBean
import java.lang.management.ManagementFactory
import java.nio.ByteBuffer
import kotlin.random.Random
import kotlin.test.Test
import kotlin.test.assertEquals

/** A frame, from the camera's planes to the ranked classes, takes no memory. */
class AllocationTest {
    private val threads = ManagementFactory.getThreadMXBean() as ThreadMXBean

    /** Bytes that [FRAMES] frames take; what the JVM takes for itself, it does not in every round. */
    private fun allocated(frame: () -> Unit): Long {
        // Tables for a size are made once.
        repeat(3) { frame() }
        return List(ROUNDS) { allocatedInARound(frame) }.min()
    }

    private fun allocatedInARound(frame: () -> Unit): Long {
        val thread = Thread.currentThread().id
        val before = threads.getThreadAllocatedBytes(thread)
        repeat(FRAMES) { frame() }
        val after = threads.getThreadAllocatedBytes(thread)
        // Asking allocates itself.
        val asking = threads.getThreadAllocatedBytes(thread) - after
        return after - before - asking
    }

    private fun camera(quantization: Quantization?): Camera = Camera(quantization)

    private class Camera(
        quantization: Quantization?,
    ) {
        private val random = Random(11)
        private val memory =
            ByteBuffer.allocateDirect(331 * 240 + 332 * 120).also {
                it.put(random.nextBytes(it.capacity()))
            }
        private val source = YuvFrame.of(YuvLayout.NV21, memory, 320, 240, 331)
        private val planes = List(2) { memory.duplicate() }
        private val pipeline = FramePreprocessor(inputDescription(quantization = quantization))
        private val description = Sidecar.parse(SIDECAR.toByteArray())
        private val output = byteArrayOf(1, 2, 3)
        private val scores = Scores(description.output)
        private val smoothing = Smoothing(3, 0.3f)
        private val top = TopClasses(3)
        private val latencies = LatencyStatistics(10)
        private val frame = YuvFrame()
        private val orientations = ALL_ORIENTATIONS
        private var number = 0L

        fun show() {
            number++
            val chroma = planes[0]
            frame.y.point(memory, 331, 1)
            frame.u.point(chroma, 332, 2)
            frame.v.point(planes[1], 332, 2)
            frame.describe(320, 240, YuvRange.LIMITED)
            // Both have upright pictures of one size.
            val orientation = orientations[if (number % 2 == 0L) 2 else 7]
            pipeline.prepare(frame, orientation)
            pipeline.prepare(source, orientation)
            scores.read(output)
            smoothing.add(scores.values, number * 33_000_000)
            top.rank(smoothing.values, 3, 0f)
            latencies.add(number, number, number, number)
            latencies.percentile(90.0, Phase.INFERENCE)
            latencies.framesPerSecond
        }
    }

    @Test
    fun `no memory is taken per frame`() {
        for (quantization in listOf(Quantization(0.0186f, -14), null)) {
            val camera = camera(quantization)
            assertEquals(0, allocated { camera.show() }, "in $FRAMES frames")
        }
    }

    private companion object {
        const val FRAMES = 20
        const val ROUNDS = 10
    }
}

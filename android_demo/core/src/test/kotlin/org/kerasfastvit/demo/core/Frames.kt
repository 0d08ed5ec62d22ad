package org.kerasfastvit.demo.core

import java.nio.ByteBuffer
import kotlin.random.Random

internal val ALL_ORIENTATIONS =
    listOf(0, 90, 180, 270).flatMap { listOf(Orientation(it), Orientation(it, mirrored = true)) }

/** A frame of noise in direct memory, as a camera's is. */
internal fun noise(
    random: Random,
    width: Int,
    height: Int,
    layout: YuvLayout = YuvLayout.NV21,
    rowStride: Int = width,
    range: YuvRange = YuvRange.FULL,
): YuvFrame {
    val half = (rowStride + 1) / 2
    val memory = ByteBuffer.allocateDirect(rowStride * height + 2 * half * ((height + 1) / 2))
    memory.put(random.nextBytes(memory.capacity()))
    return YuvFrame.of(layout, memory, width, height, rowStride, range)
}

/** The whole frame, turned. */
internal fun YuvFrame.toRgb(orientation: Orientation = Orientation.UPRIGHT): RgbImage {
    val whole = Region()
    whole.set(0, 0, width, height)
    return RgbImage().also { YuvToRgb().convert(this, orientation, whole, it) }
}

/** Pixels `0xRRGGBB`, row by row. */
internal fun RgbImage.pixels(): List<Int> = List(width * height) { pixel(it) }

private fun RgbImage.pixel(index: Int): Int =
    (0 until 3).fold(
        0,
    ) { sum, channel -> sum shl 8 or (bytes[3 * index + channel].toInt() and 255) }

internal fun RgbImage.turned(orientation: Orientation): RgbImage =
    RgbImage().also {
        it.fillFromArgb(pixels().toIntArray(), width, height, orientation)
    }

internal fun inputDescription(
    height: Int = 64,
    width: Int = 64,
    cropPct: Double = 0.9,
    interpolation: Interpolation = Interpolation.BICUBIC,
    quantization: Quantization? = Quantization(0.0186f, -14),
): InputDescription =
    InputDescription(
        TensorDescription(
            "image",
            listOf(1, height, width, 3),
            if (quantization == null) TensorType.FLOAT32 else TensorType.INT8,
            quantization,
        ),
        listOf(0.485f, 0.456f, 0.406f),
        listOf(0.229f, 0.224f, 0.225f),
        cropPct,
        interpolation,
    )

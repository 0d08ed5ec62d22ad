package org.kerasfastvit.demo.core

import java.nio.Buffer
import java.nio.ByteBuffer
import java.nio.FloatBuffer
import kotlin.math.round

/**
 * The memory of a model's input tensor, and how an image's bytes become its values.
 *
 * A channel has only 256 values, so that normalising, and in int8 quantising too, is a look-up in
 * three tables of 256 entries, made once.
 */
public sealed class ModelInput {
    /** Writes the values of an image, which must be of the tensor's size. Allocates nothing. */
    internal abstract fun fill(image: RgbImage)

    /**
     * The input of an int8 model: `round(x / scale) + zeroPoint` of the normalised `x`, halves to
     * even, clipped to −128..127.
     *
     * @property values The tensor, `height × width × 3` bytes; its array is what a runtime may take.
     */
    public class Int8 internal constructor(
        description: InputDescription,
        quantization: Quantization,
    ) : ModelInput() {
        public val values: ByteBuffer =
            ByteBuffer.wrap(ByteArray(description.height * description.width * 3))

        private val red = table(description, quantization, 0)
        private val green = table(description, quantization, 1)
        private val blue = table(description, quantization, 2)

        override fun fill(image: RgbImage) {
            val bytes = image.bytes
            val target = values.array()
            for (i in target.indices step 3) {
                target[i] = red[bytes[i].toInt() and 255]
                target[i + 1] = green[bytes[i + 1].toInt() and 255]
                target[i + 2] = blue[bytes[i + 2].toInt() and 255]
            }
            rewind(values)
        }

        private fun table(
            description: InputDescription,
            quantization: Quantization,
            channel: Int,
        ) = ByteArray(256) { quantization.quantize(description.normalize(it, channel)) }
    }

    /**
     * The input of a float32 model: the normalised values.
     *
     * @property values The tensor, `height × width × 3` floats; its array is what a runtime may take.
     */
    public class Float32 internal constructor(
        description: InputDescription,
    ) : ModelInput() {
        public val values: FloatBuffer =
            FloatBuffer.wrap(FloatArray(description.height * description.width * 3))

        private val red = FloatArray(256) { description.normalize(it, 0) }
        private val green = FloatArray(256) { description.normalize(it, 1) }
        private val blue = FloatArray(256) { description.normalize(it, 2) }

        override fun fill(image: RgbImage) {
            val bytes = image.bytes
            val target = values.array()
            for (i in target.indices step 3) {
                target[i] = red[bytes[i].toInt() and 255]
                target[i + 1] = green[bytes[i + 1].toInt() and 255]
                target[i + 2] = blue[bytes[i + 2].toInt() and 255]
            }
            rewind(values)
        }
    }

    public companion object {
        /** Memory for the input that a sidecar describes. */
        public fun of(description: InputDescription): ModelInput {
            val quantization = description.tensor.quantization
            return if (quantization == null) {
                Float32(description)
            } else {
                Int8(description, quantization)
            }
        }

        // As a Buffer: the narrower return type came with Java 9, which old Androids lack.
        private fun rewind(buffer: Buffer) {
            buffer.rewind()
        }
    }
}

/** `(value / 255 − mean) / std` in float32, operation by operation as NumPy computes it. */
internal fun InputDescription.normalize(
    value: Int,
    channel: Int,
): Float = (value.toFloat() / 255f - mean[channel]) / std[channel]

/**
 * How int8 values stand for numbers: `q` for `(q − zeroPoint) * scale`.
 *
 * @property scale Positive.
 * @property zeroPoint −128..127.
 */
public data class Quantization(
    public val scale: Float,
    public val zeroPoint: Int,
) {
    /** The nearest int8 value, halves to even, clipped to −128..127. */
    public fun quantize(value: Float): Byte {
        val nearest = round((value / scale).toDouble()).toFloat() + zeroPoint
        return nearest.coerceIn(-128f, 127f).toInt().toByte()
    }

    /** What an int8 value stands for, in float32 as NumPy computes it. */
    public fun dequantize(value: Byte): Float = (value.toFloat() - zeroPoint) * scale
}

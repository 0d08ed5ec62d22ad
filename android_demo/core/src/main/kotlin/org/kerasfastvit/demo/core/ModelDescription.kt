package org.kerasfastvit.demo.core

/** What is left to be applied to a model's output. */
public enum class Activation {
    /** The output is scores as they are to be shown. */
    LINEAR,

    /** The output is logits. */
    SOFTMAX,
}

/** The types of the tensors that the app fills and reads. */
public enum class TensorType { INT8, FLOAT32 }

/**
 * A tensor of a model.
 *
 * @property shape All sides, the batch's 1 among them.
 * @property quantization Null of a float tensor.
 */
public data class TensorDescription(
    public val name: String,
    public val shape: List<Int>,
    public val dtype: TensorType,
    public val quantization: Quantization?,
)

/**
 * The image that a model takes, and how to make it.
 *
 * @property tensor Of shape `(1, height, width, 3)`, RGB.
 * @property mean Of red, green and blue on the 0..1 scale.
 * @property std Of red, green and blue on the 0..1 scale; positive.
 * @property cropPct Share of the resized image that the crop keeps, in (0, 1].
 * @property interpolation Of the resize.
 */
public data class InputDescription(
    public val tensor: TensorDescription,
    public val mean: List<Float>,
    public val std: List<Float>,
    public val cropPct: Double,
    public val interpolation: Interpolation,
) {
    /** In pixels. */
    public val height: Int get() = tensor.shape[1]

    /** In pixels. */
    public val width: Int get() = tensor.shape[2]
}

/**
 * The scores that a model gives.
 *
 * @property tensor Of shape `(1, classes)`.
 */
public data class OutputDescription(
    public val tensor: TensorDescription,
    public val activation: Activation,
) {
    /** How many scores. */
    public val classes: Int get() = tensor.shape[1]
}

/**
 * How far a file's outputs were from those of the Keras model, on some images, when it was made.
 *
 * @property maxDifference Largest, over Keras' largest output.
 * @property sqnrDb Signal to noise in decibels; null if there was no difference.
 * @property agreement Share of the images with the same best class.
 */
public data class SelfCheck(
    public val images: Int,
    public val maxDifference: Double,
    public val sqnrDb: Double?,
    public val agreement: Double,
)

/**
 * What of a sidecar is about the finished file; the copy in the file itself lacks it.
 *
 * @property sha256 64 hexadecimal digits.
 * @property size In bytes.
 */
public data class FileFacts(
    public val name: String,
    public val sha256: String,
    public val size: Long,
)

/**
 * All that must be known of a `.tflite` file to use it: the sidecar.
 *
 * @property model Name of the architecture.
 * @property weights Name of the weights; null if they have none.
 * @property quantize How it was quantised: `int8`, …
 * @property target What it was made for: `cpu`, …
 * @property labels Names of the classes; null if not known.
 * @property versions Of the packages that made it.
 * @property file Null where the description comes from the file itself.
 * @property selfCheck Null where the description comes from the file itself.
 */
public data class ModelDescription(
    public val model: String,
    public val weights: String?,
    public val quantize: String,
    public val target: String,
    public val input: InputDescription,
    public val output: OutputDescription,
    public val labels: List<String>?,
    public val versions: Map<String, String>,
    public val file: FileFacts?,
    public val selfCheck: SelfCheck?,
) {
    /** The name of a class; its number where names are not known. */
    public fun label(index: Int): String = labels?.get(index) ?: "class $index"
}

package org.kerasfastvit.demo.core

import java.nio.ByteBuffer

/**
 * Reads the sidecar that `export_tflite` writes, and refuses what the app could not honour.
 *
 * Members that it does not know are skipped, a newer `format` is not.
 */
public object Sidecar {
    /** The version of the format that is read. */
    public const val FORMAT: Int = 1

    /** Name of the metadata entry that holds the description in a `.tflite` file. */
    public const val METADATA: String = "keras_fastvit"

    private const val LARGEST_SIDE = 4096L
    private const val MOST_CLASSES = 1_000_000L
    private const val CHANNELS = 3

    /**
     * Reads a description.
     *
     * @param document JSON in UTF-8.
     * @throws DescriptionException if it is damaged, of another format, or asks for what the app
     *     cannot do; it names the field.
     */
    public fun parse(document: ByteArray): ModelDescription {
        val root = JsonField(JsonReader.WHOLE, JsonReader.read(document))
        val format = root.member("format")
        format.wholeNumber(FORMAT.toLong()..FORMAT)
        root.optional("outputs")?.refuse("a model with one output")
        val output = output(root.member("output"))
        // Not heeded; but what lacks them was not written by an exporter.
        root.member("without").elements()
        root.member("calibration").unlessNull { members() }
        return ModelDescription(
            model = root.member("model").name(),
            weights = root.member("weights").unlessNull { name() },
            quantize = root.member("quantize").name(),
            target = root.member("target").name(),
            input = input(root.member("input")),
            output = output,
            labels = root.member("labels").unlessNull { labels(this, output.classes) },
            versions = versions(root.member("versions")),
            file = root.optional("sha256")?.let { facts(root, it) },
            selfCheck = root.optional("self_check")?.let(::selfCheck),
        )
    }

    /**
     * Reads the sidecar of a `.tflite` file, and compares the two.
     *
     * @param document JSON in UTF-8.
     * @param model The file, from index 0 to the limit; mapped memory will do.
     * @throws DescriptionException as [parse], and if the file is damaged or has other tensors.
     */
    public fun parse(
        document: ByteArray,
        model: ByteBuffer,
    ): ModelDescription = parse(document).also { it.checkTensors(TfliteFile(model)) }

    /**
     * Reads the description that is in a `.tflite` file, and compares it with the file's tensors.
     *
     * @param model The file, from index 0 to the limit; mapped memory will do.
     * @return Null if there is none.
     * @throws DescriptionException as [parse], and if the file is damaged or has other tensors.
     */
    public fun embedded(model: ByteBuffer): ModelDescription? =
        TfliteFile(model).metadata(METADATA, JsonReader.LARGEST)?.let { parse(it, model) }

    private fun input(field: JsonField): InputDescription {
        val tensor = tensor(field)
        val shape = field.member("shape")
        if (tensor.shape.size != 4 || tensor.shape[0] != 1 || tensor.shape[3] != CHANNELS) {
            shape.refuse("[1, height, width, 3]")
        }
        if (tensor.shape.max() > LARGEST_SIDE) shape.refuse("sides of at most $LARGEST_SIDE")
        field.member("color").oneOf(mapOf("RGB" to Unit))
        val cropPct = field.member("crop_pct")
        if (!(cropPct.number() > 0 && cropPct.number() <= 1)) cropPct.refuse("a number in (0, 1]")
        return InputDescription(
            tensor,
            mean = perChannel(field.member("mean")) { true },
            std = perChannel(field.member("std")) { it > 0 },
            cropPct = cropPct.number(),
            interpolation =
                field.member("interpolation").oneOf(
                    mapOf(
                        "bicubic" to Interpolation.BICUBIC,
                        "bilinear" to Interpolation.BILINEAR,
                    ),
                ),
        )
    }

    private fun output(field: JsonField): OutputDescription {
        val tensor = tensor(field)
        if (tensor.shape.size != 2 || tensor.shape[0] != 1) {
            field.member("shape").refuse("[1, classes]")
        }
        val activations =
            mapOf("softmax" to Activation.SOFTMAX, "linear" to Activation.LINEAR)
        return OutputDescription(tensor, field.member("activation").oneOf(activations))
    }

    private fun tensor(field: JsonField): TensorDescription {
        val types = mapOf("int8" to TensorType.INT8, "float32" to TensorType.FLOAT32)
        val type = field.member("dtype").oneOf(types)
        val shape = field.member("shape").elements()
        return TensorDescription(
            field.member("name").text(),
            shape.map { it.wholeNumber(1L..MOST_CLASSES).toInt() },
            type,
            quantization(field.member("scale"), field.member("zero_point"), type),
        )
    }

    private fun quantization(
        scale: JsonField,
        zeroPoint: JsonField,
        type: TensorType,
    ): Quantization? {
        if (type == TensorType.FLOAT32) {
            for (field in listOf(
                scale,
                zeroPoint,
            )) {
                if (!field.isNull) field.refuse("null, of floats")
            }
            return null
        }
        val factor = scale.number().toFloat()
        if (!(factor > 0 && factor.isFinite())) scale.refuse("a positive number")
        return Quantization(factor, zeroPoint.wholeNumber(-128L..127L).toInt())
    }

    private fun perChannel(
        field: JsonField,
        fits: (Float) -> Boolean,
    ): List<Float> {
        val numbers = field.elements()
        if (numbers.size != CHANNELS) field.refuse("$CHANNELS numbers")
        return numbers.map {
            val number = it.number().toFloat()
            if (!number.isFinite() || !fits(number)) it.refuse("a number that fits ${field.path}")
            number
        }
    }

    private fun labels(
        field: JsonField,
        classes: Int,
    ): List<String> {
        val labels = field.elements()
        if (labels.size != classes) field.refuse("$classes names, one for each class")
        return labels.map { it.name() }
    }

    private fun versions(field: JsonField): Map<String, String> =
        field.members().mapValues { (name, version) ->
            if (!isName(name)) version.refuse("a name of one line")
            version.name()
        }

    private fun facts(
        root: JsonField,
        sha256: JsonField,
    ): FileFacts {
        val digits = sha256.text()
        if (!Regex("[0-9a-f]{64}").matches(digits)) sha256.refuse("64 hexadecimal digits")
        val size = root.member("size").wholeNumber(1..Long.MAX_VALUE)
        return FileFacts(root.member("file").name(), digits, size)
    }

    private fun selfCheck(field: JsonField): SelfCheck =
        SelfCheck(
            field.member("images").wholeNumber(0L..Int.MAX_VALUE).toInt(),
            field.member("max_difference").number(),
            field.member("sqnr_db").unlessNull { number() },
            field.member("agreement").number(),
        )

    private fun <T> JsonField.unlessNull(read: JsonField.() -> T): T? = if (isNull) null else read()
}

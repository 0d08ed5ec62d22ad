package org.kerasfastvit.demo.core

import java.io.File
import kotlin.random.Random
import kotlin.test.Test
import kotlin.test.assertContains
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertNull
import kotlin.test.assertTrue

internal val SIDECAR =
    """
    {"format": 1, "file": "M.tflite", "sha256": "${"0f".repeat(32)}", "size": 3600000,
     "model": "fastvit_t8", "weights": "fashion_mnist", "quantize": "int8", "target": "cpu",
     "without": [],
     "input": {"name": "image", "shape": [1, 64, 48, 3], "dtype": "int8", "scale": 0.0186,
               "zero_point": -14, "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225],
               "color": "RGB", "crop_pct": 1.0, "interpolation": "bicubic"},
     "output": {"name": "output", "shape": [1, 3], "dtype": "int8", "scale": 0.1, "zero_point": 3,
                "activation": "softmax"},
     "labels": ["cat", "dog", "Füchse"], "versions": {"keras": "3.15.1"},
     "calibration": {"images": 200, "skipped": 0},
     "self_check": {"images": 32, "max_difference": 0.02, "sqnr_db": null, "agreement": 1.0}}
    """.trimIndent()

/** The copy in a file, which is older than the file; of a model without names. */
internal val EMBEDDED =
    SIDECAR
        .replace(Regex("\"file\".*?\"model\"", RegexOption.DOT_MATCHES_ALL), "\"model\"")
        .replace(Regex(",\\s*\"self_check\".*", RegexOption.DOT_MATCHES_ALL), "}")
        .replace(Regex("\\[\"cat.*?]"), "null")

class SidecarTest {
    private fun refused(
        from: String,
        to: String,
    ): DescriptionException {
        assertContains(SIDECAR, from)
        val text = SIDECAR.replaceFirst(from, to)
        return assertFailsWith<DescriptionException>(to) { Sidecar.parse(text.toByteArray()) }
    }

    @Test
    fun `a sidecar is read`() {
        val description = Sidecar.parse(SIDECAR.toByteArray())
        val input = description.input
        assertEquals(Quantization(0.0186f, -14), input.tensor.quantization)
        assertEquals(64 to 48, input.height to input.width)
        assertEquals(listOf(0.229f, 0.224f, 0.225f), input.std)
        assertEquals(Activation.SOFTMAX, description.output.activation)
        assertEquals("Füchse", description.label(2))
        assertEquals(SelfCheck(32, 0.02, null, 1.0), description.selfCheck)
        assertEquals(3_600_000L, description.file?.size)
    }

    @Test
    fun `the copy in a file, and a model without names, are read too`() {
        val description = Sidecar.parse(EMBEDDED.toByteArray())
        assertNull(description.file)
        assertNull(description.selfCheck)
        assertEquals("class 2", description.label(2))
    }

    @Test
    fun `what does not fit is refused by its name`() {
        val cases =
            listOf(
                Triple("\"format\": 1", "\"format\": 2", "format"),
                Triple("\"format\": 1", "\"format\": 1.0", "format"),
                Triple("\"format\": 1", "\"format\": true", "format"),
                Triple("0f0f", "0F0F", "sha256"),
                Triple("3600000", "0", "size"),
                Triple("\"fastvit_t8\"", "null", "model"),
                Triple("\"fashion_mnist\"", "7", "weights"),
                Triple("[1, 64, 48, 3]", "[1, 64, 48]", "input.shape"),
                Triple("[1, 64, 48, 3]", "[2, 64, 48, 3]", "input.shape"),
                Triple("[1, 64, 48, 3]", "[1, 64, 48, 1]", "input.shape"),
                Triple("[1, 64, 48, 3]", "[1, 64, 0, 3]", "input.shape[2]"),
                Triple("[1, 64, 48, 3]", "[1, 64, 4097, 3]", "input.shape"),
                Triple("\"int8\", \"scale\": 0.0186", "\"uint8\", \"scale\": 1", "input.dtype"),
                Triple("\"int8\", \"scale\": 0.0186", "\"float32\", \"scale\": 1", "input.scale"),
                Triple("0.0186", "0", "input.scale"),
                Triple("0.0186", "-1e-3", "input.scale"),
                Triple("0.0186", "1e-60", "input.scale"),
                Triple("0.0186", "1e999", "input.scale"),
                Triple("0.0186", "null", "input.scale"),
                Triple("-14", "-129", "input.zero_point"),
                Triple("-14", "0.5", "input.zero_point"),
                Triple("0.456", "\"0.456\"", "input.mean[1]"),
                Triple("[0.485, ", "[", "input.mean"),
                Triple("0.225", "0", "input.std[2]"),
                Triple("RGB", "BGR", "input.color"),
                Triple("\"crop_pct\": 1.0", "\"crop_pct\": 1.1", "input.crop_pct"),
                Triple("\"crop_pct\": 1.0", "\"crop_pct\": 0", "input.crop_pct"),
                Triple("bicubic", "nearest", "input.interpolation"),
                Triple("[1, 3]", "[1, 3, 1]", "output.shape"),
                Triple("[1, 3]", "[1, 4]", "labels"),
                Triple("softmax", "sigmoid", "output.activation"),
                Triple("\"dog\"", "1", "labels[1]"),
                Triple("\"3.15.1\"", "3", "versions.keras"),
                Triple("\"agreement\": 1.0", "\"agreement\": \"\"", "self_check.agreement"),
            )
        for ((from, to, field) in cases) {
            val error = refused(from, to)
            assertEquals(field, error.field, "$from -> $to: ${error.message}")
            assertTrue(error.message!!.startsWith(field) && "Received: " in error.message!!)
        }
    }

    @Test
    fun `what Python refuses is refused`() {
        val project = File(System.getProperty("project"))
        val file = File(project, "android_demo/core/src/test/refused.json")
        for (case in JsonField(file.name, JsonReader.read(file.readBytes())).elements()) {
            val (from, to) = case.elements().map { it.text() }
            refused(from, to)
        }
    }

    @Test
    fun `a label may be any line of text`() {
        val labels = listOf("", "Füchse", "\uD83E\uDD8A".repeat(1000), "\u05E9\u200F", "a\u200Db")
        for (label in labels) {
            val description = Sidecar.parse(SIDECAR.replace("Füchse", label).toByteArray())
            assertEquals(label, description.label(2))
        }
        refused("Füchse", "\uD83E\uDD8A".repeat(1001))
    }

    @Test
    fun `every member that is missing is named`() {
        val names = Regex("\"(\\w+)\":").findAll(SIDECAR).map { it.groupValues[1] }.toSet()
        // Not needed, or there twice.
        val optional =
            setOf("sha256", "keras", "images", "skipped", "self_check")
        for (name in names - optional) {
            val error = refused("\"$name\":", "\"other\":")
            assertEquals(name, error.field.substringAfterLast('.'), error.message)
        }
    }

    @Test
    fun `cut off anywhere, it is refused by name`() {
        val bytes = SIDECAR.toByteArray()
        for (length in bytes.indices) {
            val error =
                assertFailsWith<DescriptionException>("$length") {
                    Sidecar.parse(bytes.copyOf(length))
                }
            assertTrue(error.field.isNotEmpty())
        }
    }

    @Test
    fun `changed at random, it is read or refused by name`() {
        val random = Random(6)
        val bytes = SIDECAR.toByteArray()
        val names = mutableSetOf<String>()
        repeat(20_000) {
            val changed = bytes.copyOf()
            repeat(random.nextInt(1, 4)) {
                changed[random.nextInt(changed.size)] =
                    if (random.nextBoolean()) random.nextInt(256).toByte() else bytes.random(random)
            }
            try {
                Sidecar.parse(changed)
            } catch (error: DescriptionException) {
                assertTrue(error.message!!.startsWith(error.field) && error.field.isNotEmpty())
                names += error.field
            }
        }
        assertTrue(names.size > 30, "$names")
    }
}

package org.kerasfastvit.demo.core

import java.nio.ByteBuffer
import kotlin.random.Random
import kotlin.test.Test
import kotlin.test.assertContains
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertNull
import kotlin.test.assertTrue

class TfliteFileTest {
    private val entries =
        arrayOf(
            "min_runtime_version" to ByteArray(16),
            Sidecar.METADATA to SIDECAR.toByteArray(),
        )
    private val file = modelFile(*entries)

    @Test
    fun `the entry is found among others`() {
        assertEquals(Sidecar.parse(SIDECAR.toByteArray()), Sidecar.embedded(file))
    }

    @Test
    fun `a file without it has no description`() {
        assertNull(Sidecar.embedded(modelFile("other" to byteArrayOf(1))))
        assertNull(Sidecar.embedded(modelFile()))
    }

    @Test
    fun `what is no model file is refused`() {
        for (bytes in listOf(ByteArray(0), ByteArray(100), "a sidecar".toByteArray())) {
            val error =
                assertFailsWith<DescriptionException> { Sidecar.embedded(ByteBuffer.wrap(bytes)) }
            assertContains(error.message!!, "the model file: expected a .tflite file")
        }
    }

    @Test
    fun `a file of other tensors than its description is refused, by the field that differs`() {
        val (input, output) = SIDECAR_TENSORS
        val cases =
            mapOf(
                "input.shape" to
                    modelFile(
                        *entries,
                        tensors = listOf(tensor(ints(1, 48, 64, 3), INT8, 0.0186f, -14), output),
                    ),
                "input.dtype" to
                    modelFile(*entries, tensors = listOf(tensor(ints(1, 64, 48, 3), 0), output)),
                "input.scale" to
                    modelFile(
                        *entries,
                        tensors = listOf(tensor(ints(1, 64, 48, 3), INT8, 0.0187f, -14), output),
                    ),
                "input.zero_point" to
                    modelFile(
                        *entries,
                        tensors = listOf(tensor(ints(1, 64, 48, 3), INT8, 0.0186f, -13), output),
                    ),
                // Its labels would then be too few.
                "output.shape" to
                    modelFile(
                        *entries,
                        tensors = listOf(input, tensor(ints(1, 4), INT8, 0.1f, 3)),
                    ),
                "output.dtype" to
                    modelFile(
                        *entries,
                        tensors = listOf(input, tensor(ints(1, 3), 3, 0.1f, 3)),
                    ),
                "output.scale" to
                    modelFile(*entries, tensors = listOf(input, tensor(ints(1, 3), INT8))),
                "output.zero_point" to
                    modelFile(
                        *entries,
                        tensors = listOf(input, tensor(ints(1, 3), INT8, 0.1f)),
                    ),
                "input" to modelFile(*entries, inputs = ints()),
                "output" to modelFile(*entries, outputs = ints(0, 1)),
                "the model file" to modelFile(*entries, outputs = ints(2)),
            )
        for ((field, other) in cases) {
            val error = assertFailsWith<DescriptionException>(field) { Sidecar.embedded(other) }
            assertEquals(field, error.field, error.message)
            assertContains(error.message!!, "Received: ")
            assertFailsWith<DescriptionException>(field) {
                Sidecar.parse(SIDECAR.toByteArray(), other)
            }
        }
    }

    /** What reading the file gives, in memory that the file's size bounds. */
    private fun readInBounds(file: ByteBuffer): String? {
        var result: String? = null
        val bytes =
            allocated {
                result =
                    try {
                        Sidecar.embedded(file)?.model
                    } catch (error: DescriptionException) {
                        error.message
                    }
            }
        assertTrue(bytes <= mostBytes(file.limit()), "$bytes for ${file.limit()}: $result")
        return result
    }

    @Test
    fun `many inputs that name one tensor of many sides are only counted`() {
        val sides = tensor(ints(*IntArray(30_000) { 1 }), INT8, 0.0186f, -14)
        val tensors = listOf(sides, SIDECAR_TENSORS[1])
        val inputs = ints(*IntArray(30_000))
        val cases =
            mapOf(
                inputs to "input: expected a model with one input. Received: 30000",
                ints(0) to "the model file: expected at most 8 sides or scales of a tensor",
            )
        for ((indices, message) in cases) {
            val file =
                modelFile(*entries, tensors = tensors, inputs = indices, capacity = 1 shl 18)
            assertContains(readInBounds(file)!!, message)
        }
    }

    @Test
    fun `a long name that many entries share is not copied for each`() {
        val file =
            modelFile("k".repeat(1_000_000) to ByteArray(0), copies = 200_000, capacity = 1 shl 21)
        assertNull(readInBounds(file))
        val shared = modelFile(*entries, copies = 1000, capacity = 1 shl 14)
        assertEquals("fastvit_t8", readInBounds(shared))
    }

    @Test
    fun `a description that is larger than one may be is not copied`() {
        val description = ByteArray(JsonReader.LARGEST + 1) { ' '.code.toByte() }
        val file =
            modelFile(Sidecar.METADATA to description, capacity = description.size + 8192)
        val bytes =
            allocated {
                val error = assertFailsWith<DescriptionException> { Sidecar.embedded(file) }
                assertContains(error.message!!, "at most ${JsonReader.LARGEST} bytes")
            }
        assertTrue(bytes < description.size, "$bytes")
    }

    @Test
    fun `what the exporter writes is read, and each sidecar fits its own file alone`() {
        for (model in RecordedFrames.MODELS) {
            val content = ByteBuffer.wrap(RecordedFrames.file(model).readBytes())
            val sidecar = RecordedFrames.description(model)
            // The copy in the file is older than the file.
            assertEquals(sidecar.copy(file = null, selfCheck = null), Sidecar.embedded(content))
            for (other in RecordedFrames.MODELS - model) {
                val description = RecordedFrames.description(other)
                assertFailsWith<DescriptionException>("$model, $other") {
                    description.checkTensors(TfliteFile(content))
                }
            }
        }
    }

    @Test
    fun `cut off anywhere, it is refused or was not needed, never a crash`() {
        val bytes = ByteArray(file.limit()).also { file.duplicate().get(it) }
        val read = bytes.indices.count { readOrRefused(bytes.copyOf(it)) }
        assertEquals(0, read)
    }

    @Test
    fun `damaged at random, it is read or refused by name, never a crash`() {
        val random = Random(7)
        val bytes = ByteArray(file.limit()).also { file.duplicate().get(it) }
        // The description, which is most of the file, has a test of its own.
        val description = String(bytes, Charsets.ISO_8859_1).indexOf("{\"format\"")
        val places =
            bytes.indices.filter {
                it !in description until description + SIDECAR.toByteArray().size
            }
        var refused = 0
        repeat(50_000) {
            val damaged = bytes.copyOf()
            repeat(random.nextInt(1, 4)) {
                damaged[places.random(random)] = random.nextInt(256).toByte()
            }
            if (!readOrRefused(damaged)) refused++
        }
        assertTrue(refused > 10_000, "$refused")
    }

    @Test
    fun `noise behind the identifier is refused`() {
        val random = Random(13)
        repeat(20_000) {
            val noise = random.nextBytes(random.nextInt(8, 200))
            "TFL3".toByteArray().copyInto(noise, 4)
            // Offsets that are small enough to be followed.
            for (i in noise.indices) if (random.nextBoolean() && i !in 4..7) noise[i] = 0
            readOrRefused(noise)
        }
    }

    private fun readOrRefused(bytes: ByteArray): Boolean =
        try {
            Sidecar.embedded(ByteBuffer.wrap(bytes)) != null
        } catch (error: DescriptionException) {
            assertTrue(error.field.isNotEmpty() && "Received: " in error.message!!)
            false
        }
}

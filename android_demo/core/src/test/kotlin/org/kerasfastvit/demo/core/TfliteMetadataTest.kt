package org.kerasfastvit.demo.core

import java.nio.ByteBuffer
import kotlin.random.Random
import kotlin.test.Test
import kotlin.test.assertContains
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertNull
import kotlin.test.assertTrue

class TfliteMetadataTest {
    private val file =
        modelFile(
            "min_runtime_version" to ByteArray(16),
            Sidecar.METADATA to SIDECAR.toByteArray(),
        )

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
    fun `cut off or damaged, it is read or refused, never a crash`() {
        val random = Random(7)
        val bytes = ByteArray(file.limit()).also { file.duplicate().get(it) }
        for (length in bytes.indices) readOrRefused(bytes.copyOf(length))
        var refused = 0
        repeat(20_000) {
            val damaged = bytes.copyOf()
            // The description, which is most of the file, has a test of its own.
            val place = random.nextInt(200).let { if (it < 120) it else bytes.size - it + 119 }
            damaged[place] = random.nextInt(256).toByte()
            if (!readOrRefused(damaged)) refused++
        }
        assertTrue(refused > 1000, "$refused")
    }

    private fun readOrRefused(bytes: ByteArray): Boolean =
        try {
            Sidecar.embedded(ByteBuffer.wrap(bytes))
            true
        } catch (error: DescriptionException) {
            assertTrue(error.field.isNotEmpty())
            false
        }
}

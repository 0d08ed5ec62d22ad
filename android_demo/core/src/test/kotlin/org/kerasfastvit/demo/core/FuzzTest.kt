package org.kerasfastvit.demo.core

import java.io.File
import kotlin.test.Test
import kotlin.test.assertEquals
import kotlin.test.assertTrue

/** The readers of files from strangers: some of what `make android-fuzz` does, and what it found. */
class FuzzTest {
    private fun faults(fuzzer: Fuzzer) = fuzzer.findings.map { it.fault }

    @Test
    fun `damaged, it is read or refused`() {
        for (reader in READERS) {
            val fuzzer = Fuzzer(reader, seed = 1)
            repeat(1000) { fuzzer.step() }
            assertEquals(emptyList(), faults(fuzzer), reader.name)
            assertEquals(1000, fuzzer.inputs)
        }
    }

    @Test
    fun `what a reader failed on once`() {
        val folder = File(System.getProperty("project"), "android_demo/core/src/test/damaged")
        val files = folder.listFiles().orEmpty()
        assertTrue(files.isNotEmpty())
        for (reader in READERS) {
            val fuzzer = Fuzzer(reader, seed = 1)
            files.forEach { fuzzer.read(it.readBytes()) }
            assertEquals(emptyList(), faults(fuzzer), reader.name)
        }
    }

    @Test
    fun `what a reader must not do is found`() {
        val faults =
            listOf<Pair<String, (ByteArray) -> Any?>>(
                "java.lang" to { error("undocumented") },
                "bytes taken" to { ByteArray(1 shl 23) },
            )
        for ((fault, read) in faults) {
            var damaged = false
            val fuzzer = Fuzzer(Reader("bad", listOf(byteArrayOf(1))) { if (damaged) read(it) }, 1)
            damaged = true
            fuzzer.step()
            assertTrue(fault in faults(fuzzer).single(), fault)
        }
    }
}

package org.kerasfastvit.demo.core

import kotlin.random.Random
import kotlin.test.Test
import kotlin.test.assertContains
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertTrue

class JsonTest {
    private fun read(text: String) = JsonReader.read(text.toByteArray())

    @Test
    fun `values of every kind are read`() {
        val text = """ {"a": [1, -2.5e1, true, false, null, "ü\n\u00e9\"\\\/"], "b": {}, "": [ ]}"""
        val expected =
            mapOf(
                "a" to listOf(1L, -25.0, true, false, null, "ü\né\"\\/"),
                "b" to emptyMap<String, Any>(),
                "" to emptyList<Any>(),
            )
        assertEquals<Any?>(expected, read(text))
        assertEquals(1.23e300, read("123e298"))
        assertEquals(0.018658137, read("0.018658137"))
    }

    @Test
    fun `what is no JSON is refused, by the place where it is`() {
        val cases =
            mapOf(
                "" to "the document",
                "{} x" to "the document",
                "{\"a\": 01}" to "a",
                "{\"a\": NaN}" to "a",
                "{\"a\": +1}" to "a",
                "{\"a\": 1.}" to "a",
                "{\"a\": .5}" to "a",
                "{\"a\": [1, 2,]}" to "a[2]",
                "{\"a\": {\"b\": [0, tru]}}" to "a.b[1]",
                "{\"a\": 1, \"a\": 2}" to "a",
                "{\"a\": \"\\x\"}" to "a",
                "{\"a\": \"\\u12g4\"}" to "a",
                "{\"a\": \"\\u12" to "a",
                "{\"a\": \"\n\"}" to "a",
                "{\"a\" 1}" to "a",
                "{\"a\": {\"b\": 1" to "a",
                "{a: 1}" to "the document",
                "[1 2]" to "the document",
                "\uFEFF{}" to "the document",
                "[".repeat(10_000) to "the document" + "[0]".repeat(33),
            )
        for ((text, field) in cases) {
            val error = assertFailsWith<DescriptionException>(text) { read(text) }
            assertEquals(field, error.field, text)
            assertTrue("Received: " in error.message!!, error.message)
        }
    }

    @Test
    fun `a long name is not repeated for what it holds`() {
        val text = "{\"${"k".repeat(100_000)}\": [${"0,".repeat(100_000)}0]}".toByteArray()
        val bytes = allocated { JsonReader.read(text) }
        assertTrue(bytes <= mostBytes(text.size), "$bytes")
    }

    @Test
    fun `more than a document may hold is refused`() {
        val cases =
            mapOf(
                " ".repeat(JsonReader.LARGEST + 1) to "at most 16777216 bytes",
                "[${"0,".repeat(600_000)}0]" to "at most 524288 values",
                "[${"1".repeat(1001)}]" to "at most 1000 characters",
            )
        for ((text, expected) in cases) {
            val error = assertFailsWith<DescriptionException>(expected) { read(text) }
            assertContains(error.message!!, expected)
        }
        assertEquals<Any?>(1, (read(" ".repeat(JsonReader.LARGEST - 3) + "[1]") as List<*>).size)
    }

    @Test
    fun `what is received can steer nothing that shows it`() {
        for (text in listOf("[\n\u001B[31m]", "{\"\u202E${"k".repeat(5000)}\": x}", "\u0085")) {
            val error = assertFailsWith<DescriptionException>(text) { read(text) }
            assertTrue(isName(error.message!!) && isName(error.field), error.message)
        }
        assertEquals("\\u001b[31m\\u202e\\ud800ü", shown("\u001B[31m\u202E\uD800ü"))
    }

    @Test
    fun `text that is no UTF-8 is refused`() {
        assertFailsWith<DescriptionException> { JsonReader.read(byteArrayOf(34, -1, 34)) }
        assertFailsWith<DescriptionException> { JsonReader.read(byteArrayOf(34, -61, 34)) }
    }

    @Test
    fun `noise made of JSON's characters never crashes`() {
        val random = Random(5)
        val alphabet = "{}[]\",:\\u0123456789.eE+-truefalsn \n\t"
        repeat(20_000) {
            val text = String(CharArray(random.nextInt(40)) { alphabet.random(random) })
            try {
                read(text)
            } catch (error: DescriptionException) {
                assertTrue(error.field.isNotEmpty(), text)
            }
        }
    }
}

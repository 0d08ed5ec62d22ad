package org.kerasfastvit.demo.core

import java.nio.ByteBuffer
import java.nio.charset.CharacterCodingException
import java.nio.charset.CodingErrorAction

/**
 * Reads JSON (RFC 8259) and nothing more: no comments, no NaN, no name twice, no text after its end.
 *
 * What it takes of memory and time is bounded by the document's size, which is bounded itself.
 * Android has a reader, the JVM of the tests has none, and Android's forgives what should not be.
 * Objects become maps, arrays lists, whole numbers [Long], others [Double].
 */
internal class JsonReader private constructor(
    private val text: String,
) {
    private var at = 0
    private var values = 0

    /** Names and indices that lead to the value at hand: as text, they are made for an error only. */
    private val steps = ArrayList<Any>()

    private fun document(): Any? {
        val value = value()
        skipSpace()
        if (at < text.length) fail("its end")
        return value
    }

    private fun value(): Any? {
        skipSpace()
        if (steps.size > DEEPEST) fail("at most $DEEPEST levels")
        if (++values > MOST_VALUES) fail("at most $MOST_VALUES values")
        return when (peek()) {
            '{' -> members()
            '[' -> elements()
            '"' -> string()
            't' -> word("true", true)
            'f' -> word("false", false)
            'n' -> word("null", null)
            else -> number()
        }
    }

    private fun members(): Map<String, Any?> {
        val members = LinkedHashMap<String, Any?>()
        at++
        skipSpace()
        if (take('}')) return members
        do {
            skipSpace()
            if (peek() != '"') fail("a name in quotes")
            val name = string()
            steps += name
            if (name in members) fail("each name once")
            skipSpace()
            if (!take(':')) fail("':'")
            members[name] = value()
            steps.removeAt(steps.lastIndex)
            skipSpace()
        } while (take(','))
        if (!take('}')) fail("',' or '}'")
        return members
    }

    private fun elements(): List<Any?> {
        val elements = ArrayList<Any?>()
        at++
        skipSpace()
        if (take(']')) return elements
        do {
            steps += elements.size
            elements += value()
            steps.removeAt(steps.lastIndex)
            skipSpace()
        } while (take(','))
        if (!take(']')) fail("',' or ']'")
        return elements
    }

    private fun string(): String {
        at++
        val result = StringBuilder()
        while (true) {
            val character = peek() ?: fail("'\"'")
            if (character < ' ') fail("no control characters in a text")
            at++
            when (character) {
                '"' -> return result.toString()
                '\\' -> result.append(escaped())
                else -> result.append(character)
            }
        }
    }

    private fun escaped(): Char {
        val character = peek()
        val place = "\"\\/bfnrtu".indexOf(character ?: ' ')
        if (place < 0) fail("an escape of JSON")
        at++
        if (character != 'u') return "\"\\/\b\u000C\n\r\t"[place]
        val digits = text.substring(at, minOf(at + 4, text.length))
        if (!HEXADECIMAL.matches(digits)) fail("four hexadecimal digits")
        at += 4
        return digits.toInt(16).toChar()
    }

    private fun number(): Number {
        val start = at
        take('-')
        if (!take('0') && !digits()) fail("a value")
        val whole = at
        if (take('.') && !digits()) fail(A_NUMBER)
        if (take('e') || take('E')) {
            if (!take('+')) take('-')
            if (!digits()) fail(A_NUMBER)
        }
        // As in 01 and 1.2.3: the number's grammar ends there, the number does not.
        if ((peek() ?: ' ') in "0123456789.eE+-") fail(A_NUMBER)
        if (at - start > LONGEST_NUMBER) fail("numbers of at most $LONGEST_NUMBER characters")
        val number = text.substring(start, at)
        return (if (at == whole) number.toLongOrNull() else null) ?: number.toDouble()
    }

    private fun digits(): Boolean {
        val start = at
        while ((peek() ?: ' ') in '0'..'9') at++
        return at > start
    }

    private fun <T> word(
        word: String,
        value: T,
    ): T {
        if (!text.startsWith(word, at)) fail("a value")
        at += word.length
        return value
    }

    private fun skipSpace() {
        while (at < text.length && text[at] in " \t\n\r") at++
    }

    private fun peek(): Char? = text.getOrNull(at)

    private fun take(character: Char): Boolean {
        if (peek() != character) return false
        at++
        return true
    }

    private fun fail(expected: String): Nothing {
        val rest = text.substring(at, minOf(at + SHOWN, text.length))
        val received = if (rest.isEmpty()) "the end of the text" else "'$rest' at character $at"
        val path =
            steps.fold(WHOLE) { path, step ->
                if (step is Int) "$path[$step]" else inner(path, "$step")
            }
        throw DescriptionException(path, expected, received)
    }

    companion object {
        /** How errors name the whole document. */
        const val WHOLE = "the document"

        /** Bytes of a document: as many as Python reads. */
        const val LARGEST = 16 shl 20

        /** Names of classes, nearly all: an object or array of its own takes much more than its text. */
        private const val MOST_VALUES = 1 shl 19
        private const val DEEPEST = 32
        private const val LONGEST_NUMBER = 1000
        private const val A_NUMBER = "a number of JSON"
        private const val SHOWN = 20
        private val HEXADECIMAL = Regex("[0-9a-fA-F]{4}")

        /** The path of an object's member. */
        fun inner(
            path: String,
            name: String,
        ): String = if (path == WHOLE) name.ifEmpty { "\"\"" } else "$path.$name"

        /**
         * Returns the value that a document is.
         *
         * @throws DescriptionException if it is no JSON in UTF-8, or larger than any sidecar is.
         */
        fun read(document: ByteArray): Any? {
            if (document.size > LARGEST) {
                throw DescriptionException(WHOLE, "at most $LARGEST bytes", "${document.size}")
            }
            val decoder =
                Charsets.UTF_8
                    .newDecoder()
                    .onMalformedInput(CodingErrorAction.REPORT)
                    .onUnmappableCharacter(CodingErrorAction.REPORT)
            val text =
                try {
                    decoder.decode(ByteBuffer.wrap(document)).toString()
                } catch (_: CharacterCodingException) {
                    val received = "${document.size} bytes that are not"
                    throw DescriptionException(WHOLE, "JSON in UTF-8", received)
                }
            return JsonReader(text).document()
        }
    }
}

package org.kerasfastvit.demo.core

import java.nio.ByteBuffer
import java.nio.charset.CharacterCodingException
import java.nio.charset.CodingErrorAction

/**
 * Reads JSON (RFC 8259) and nothing more: no comments, no NaN, no name twice, no text after its end.
 *
 * Android has a reader, the JVM of the tests has none, and Android's forgives what should not be.
 * Objects become maps, arrays lists, whole numbers [Long], others [Double].
 */
internal class JsonReader private constructor(
    private val text: String,
) {
    private var at = 0

    private fun document(): Any? {
        val value = value(WHOLE, 0)
        skipSpace()
        if (at < text.length) fail(WHOLE, "its end")
        return value
    }

    private fun value(
        path: String,
        depth: Int,
    ): Any? {
        skipSpace()
        if (depth > DEEPEST) fail(path, "at most $DEEPEST levels")
        return when (peek()) {
            '{' -> members(path, depth)
            '[' -> elements(path, depth)
            '"' -> string(path)
            't' -> word("true", true, path)
            'f' -> word("false", false, path)
            'n' -> word("null", null, path)
            else -> number(path)
        }
    }

    private fun members(
        path: String,
        depth: Int,
    ): Map<String, Any?> {
        val members = LinkedHashMap<String, Any?>()
        at++
        skipSpace()
        if (take('}')) return members
        do {
            skipSpace()
            if (peek() != '"') fail(path, "a name in quotes")
            val name = string(path)
            val inner = if (path == WHOLE) name.ifEmpty { "\"\"" } else "$path.$name"
            if (name in members) fail(inner, "each name once")
            skipSpace()
            if (!take(':')) fail(inner, "':'")
            members[name] = value(inner, depth + 1)
            skipSpace()
        } while (take(','))
        if (!take('}')) fail(path, "',' or '}'")
        return members
    }

    private fun elements(
        path: String,
        depth: Int,
    ): List<Any?> {
        val elements = ArrayList<Any?>()
        at++
        skipSpace()
        if (take(']')) return elements
        do {
            elements += value("$path[${elements.size}]", depth + 1)
            skipSpace()
        } while (take(','))
        if (!take(']')) fail(path, "',' or ']'")
        return elements
    }

    private fun string(path: String): String {
        at++
        val result = StringBuilder()
        while (true) {
            val character = peek() ?: fail(path, "'\"'")
            if (character < ' ') fail(path, "no control characters in a text")
            at++
            when (character) {
                '"' -> return result.toString()
                '\\' -> result.append(escaped(path))
                else -> result.append(character)
            }
        }
    }

    private fun escaped(path: String): Char {
        val character = peek()
        val place = "\"\\/bfnrtu".indexOf(character ?: ' ')
        if (place < 0) fail(path, "an escape of JSON")
        at++
        if (character != 'u') return "\"\\/\b\u000C\n\r\t"[place]
        val digits = text.substring(at, minOf(at + 4, text.length))
        if (!HEXADECIMAL.matches(digits)) fail(path, "four hexadecimal digits")
        at += 4
        return digits.toInt(16).toChar()
    }

    private fun number(path: String): Number {
        val match = NUMBER.find(text, at)
        if (match == null || match.range.first != at) fail(path, "a value")
        val digits = match.value
        at += digits.length
        // As in 01 and 1.: the number's grammar ends there, the number does not.
        if ((peek() ?: ' ') in "0123456789.eE+-") fail(path, "a number of JSON")
        if (digits.any { it in ".eE" }) return digits.toDouble()
        return digits.toLongOrNull() ?: digits.toDouble()
    }

    private fun <T> word(
        word: String,
        value: T,
        path: String,
    ): T {
        if (!text.startsWith(word, at)) fail(path, "a value")
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

    private fun fail(
        path: String,
        expected: String,
    ): Nothing {
        val rest = text.substring(at, minOf(at + SHOWN, text.length))
        val received = if (rest.isEmpty()) "the end of the text" else "'$rest' at character $at"
        throw DescriptionException(path, expected, received)
    }

    companion object {
        /** How errors name the whole document. */
        const val WHOLE = "the document"

        private const val DEEPEST = 32
        private const val SHOWN = 20
        private val NUMBER = Regex("""-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?""")
        private val HEXADECIMAL = Regex("[0-9a-fA-F]{4}")

        /**
         * Returns the value that a document is.
         *
         * @throws DescriptionException if it is no JSON in UTF-8.
         */
        fun read(document: ByteArray): Any? {
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

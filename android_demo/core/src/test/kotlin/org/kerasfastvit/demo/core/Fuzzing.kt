package org.kerasfastvit.demo.core

import com.sun.management.ThreadMXBean
import java.io.File
import java.lang.management.ManagementFactory
import java.nio.ByteBuffer
import java.nio.ByteOrder
import kotlin.concurrent.thread
import kotlin.math.pow
import kotlin.random.Random
import kotlin.system.exitProcess

/**
 * Feeds damaged files to all that reads files from strangers: `make android-fuzz`.
 *
 * Arguments: how many inputs, for how many seconds at most, the seed of the damage, a folder for the
 * inputs that are findings. Prints a line of JSON for each reader. Ends with 1 if there is a finding:
 * an exception that is not documented, more memory or more time than [mostBytes] and [LONGEST].
 */
fun main(arguments: Array<String>) {
    val (inputs, seconds, seed) = arguments.take(3).map(String::toInt)
    val folder = File(arguments[3])
    var findings = 0
    for (reader in READERS) {
        val fuzzer = Fuzzer(reader, seed)
        val deadline = System.nanoTime() + seconds * SECOND / READERS.size
        val worker =
            thread(isDaemon = true) {
                while (fuzzer.inputs < inputs / READERS.size && System.nanoTime() < deadline) {
                    fuzzer.step()
                }
            }
        // One that never ends does not keep this from ending.
        do worker.join(1000) while (worker.isAlive && !fuzzer.stuck)
        println(fuzzer)
        findings += fuzzer.findings.size
        for ((number, finding) in fuzzer.findings.withIndex()) {
            val file = File(folder.apply(File::mkdirs), "${reader.name}-$seed-$number.bin")
            file.writeBytes(finding.input)
            System.err.println("$file: ${finding.fault}")
        }
    }
    exitProcess(if (findings == 0) 0 else 1)
}

/**
 * What reads bytes that come from outside, and refuses them by a [DescriptionException] alone.
 *
 * @property seeds Inputs that it takes.
 */
internal class Reader(
    val name: String,
    val seeds: List<ByteArray>,
    val read: (ByteArray) -> Any?,
)

private val DESCRIPTIONS =
    listOf(
        SIDECAR,
        EMBEDDED,
        SIDECAR.replace("\"cat\"", "\"\\u0063\\ud83d\\udc31\""),
        // What holds much below a long name.
        SIDECAR.replace(
            "\"without\"",
            "\"${"k".repeat(2000)}\": [${"0,".repeat(500)}0], \"without\"",
        ),
    ).map(String::toByteArray)

private val FILES =
    listOf(SIDECAR to 1, EMBEDDED to 1, SIDECAR to 500).map { (description, copies) ->
        val file =
            modelFile(
                "min_runtime_version" to ByteArray(16),
                Sidecar.METADATA to description.toByteArray(),
                copies = copies,
            )
        ByteArray(file.limit()).also { file.get(it) }
    }

internal val READERS =
    listOf(
        Reader("json", DESCRIPTIONS, JsonReader::read),
        Reader("sidecar", DESCRIPTIONS, Sidecar::parse),
        Reader("tflite", FILES) {
            val file = TfliteFile(ByteBuffer.wrap(it))
            file.metadata(Sidecar.METADATA, JsonReader.LARGEST)
            file.inputs.singleOrNull() to file.outputs.singleOrNull()
        },
        Reader("embedded", FILES) { Sidecar.embedded(ByteBuffer.wrap(it)) },
        Reader("sidecar_and_tflite", FILES) {
            Sidecar.parse(SIDECAR.toByteArray(), ByteBuffer.wrap(it))
        },
    )

/**
 * How many bytes a reader may take in all for an input of [size], beyond those for its seed; what
 * the JVM takes for itself when code runs for the first time is among them.
 */
internal fun mostBytes(size: Int): Long = (4L shl 20) + 128L * size

/** Nanoseconds that one input may take, on a machine that has other things to do. */
internal const val LONGEST = 10_000_000_000L
private const val SECOND = 1_000_000_000L

/** An input that a reader should have taken or refused, and what it did instead. */
internal class Finding(
    val input: ByteArray,
    val fault: String,
)

/** Damages the seeds of a reader, one after another, and keeps count. */
internal class Fuzzer(
    private val reader: Reader,
    seed: Int,
) {
    private val random = Random(31 * seed + reader.name.hashCode())
    private val damage = Damage(random)
    private val allocatedBySeed = reader.seeds.map { allocated { reader.read(it) } }

    @Volatile private var current: ByteArray? = null

    @Volatile private var started = 0L
    private var refused = 0
    private var accepted = 0
    private var undocumented = 0
    private var longest = 0L
    private var peak = 0L
    val findings = mutableListOf<Finding>()

    val inputs: Int get() = refused + accepted + undocumented

    /** True once one input takes longer than any may; it is then among the findings. */
    val stuck: Boolean
        get() {
            val input = current
            val late = input != null && System.nanoTime() - started > LONGEST
            if (late) findings += Finding(input, "does not end")
            return late
        }

    /** Reads one more damaged input. */
    fun step() {
        val number = random.nextInt(reader.seeds.size)
        val input = damage.of(reader.seeds[number], reader.seeds.random(random))
        read(input, allocatedBySeed[number])
    }

    /** Reads an input, for which [seedBytes] are allowed beyond what its size gives. */
    fun read(
        input: ByteArray,
        seedBytes: Long = allocatedBySeed.max(),
    ) {
        var fault: String? = null
        started = System.nanoTime()
        current = input
        val bytes =
            allocated {
                try {
                    reader.read(input)
                    accepted++
                } catch (error: DescriptionException) {
                    refused++
                    if (!isName(error.message!!) ||
                        error.field.isEmpty()
                    ) {
                        fault = "${error.message}"
                    }
                } catch (error: Throwable) {
                    undocumented++
                    fault = error.toString()
                }
            }
        current = null
        val time = System.nanoTime() - started
        longest = maxOf(longest, time)
        if (time > LONGEST) fault = "$time nanoseconds taken"
        peak = maxOf(peak, bytes - seedBytes)
        if (bytes - seedBytes > mostBytes(input.size)) {
            fault = "$bytes bytes taken for ${input.size}"
        }
        fault?.let { if (findings.size < MOST_FINDINGS) findings += Finding(input, it) }
    }

    override fun toString(): String =
        """{"reader": "${reader.name}", "inputs": $inputs, "refused": $refused, """ +
            """"accepted": $accepted, "undocumented": $undocumented, """ +
            """"longest_ms": ${longest / 1_000_000}, "peak_bytes": $peak, """ +
            """"findings": ${findings.size}}"""

    private companion object {
        const val MOST_FINDINGS = 20
    }
}

/** Bytes that the thread takes, whether it gives them back or not. */
internal fun allocated(block: () -> Unit): Long {
    val threads = ManagementFactory.getThreadMXBean() as ThreadMXBean
    val thread = Thread.currentThread().id
    val before = threads.getThreadAllocatedBytes(thread)
    block()
    return threads.getThreadAllocatedBytes(thread) - before
}

/** Damages files as transfers, other programs and people who mean harm do. */
private class Damage(
    private val random: Random,
) {
    /** One to four kinds of damage to [seed]; [other] may be spliced to it. */
    fun of(
        seed: ByteArray,
        other: ByteArray,
    ): ByteArray {
        var result = seed.copyOf()
        // Seldom many: what is refused at once shows little.
        repeat(minOf(random.nextInt(1, 5), random.nextInt(1, 5))) {
            if (result.isNotEmpty()) result = kinds.random(random)(result, other)
        }
        return result
    }

    private val kinds: List<(ByteArray, ByteArray) -> ByteArray> =
        listOf(
            { bytes, _ -> bits(bytes) },
            { bytes, _ -> bytes.also { it[place(it)] = random.nextInt(256).toByte() } },
            { bytes, _ -> bytes.copyOf(place(bytes)) },
            { bytes, other -> bytes.copyOf(place(bytes)) + other.drop(place(other)) },
            { bytes, _ -> number(bytes) },
            { bytes, _ -> digits(bytes) },
            { bytes, _ -> repeated(bytes) },
            { bytes, _ -> insert(bytes, place(bytes), TOKENS.random(random).toByteArray()) },
        )

    private fun place(bytes: ByteArray) = random.nextInt(maxOf(1, bytes.size))

    private fun bits(bytes: ByteArray): ByteArray {
        repeat(random.nextInt(1, 9)) {
            val at = place(bytes)
            bytes[at] = (bytes[at].toInt() xor (1 shl random.nextInt(8))).toByte()
        }
        return bytes
    }

    /** Overwrites what may be an offset, a count or a length with one that leads far, or just in. */
    private fun number(bytes: ByteArray): ByteArray {
        val width = listOf(1, 2, 4, 8).random(random)
        val at = place(bytes) / width * width
        if (at + width > bytes.size) return bytes
        val rest = (bytes.size - at).toLong()
        val numbers =
            listOf(0, 1, -1, rest, rest / 4, rest / 4 - 1, -at.toLong(), bytes.size.toLong()) +
                listOf(7, 8, 15, 16, 31, 32, 62, 63).flatMap { listOf(1L shl it, (1L shl it) - 1) }
        val number = numbers.random(random)
        for (i in 0 until width) bytes[at + i] = (number shr 8 * i).toByte()
        return bytes
    }

    /** Puts another number in the place of one in decimal digits. */
    private fun digits(bytes: ByteArray): ByteArray {
        val from = place(bytes)
        val at = (from until bytes.size).firstOrNull { bytes[it] in DIGITS } ?: return bytes
        val end = (at until bytes.size).firstOrNull { bytes[it] !in DIGITS } ?: bytes.size
        val rest = bytes.copyOfRange(end, bytes.size)
        return bytes.copyOf(at) + NUMBERS.random(random).toByteArray() + rest
    }

    /** Repeats a part, a few times or until the whole is large. */
    private fun repeated(bytes: ByteArray): ByteArray {
        val from = place(bytes)
        val part = bytes.copyOfRange(from, minOf(bytes.size, from + random.nextInt(1, 64)))
        val most = maxOf(0, LARGEST - bytes.size) / part.size
        val times = minOf(most, 10.0.pow(random.nextDouble(5.0)).toInt())
        val repeated = ByteArray(times * part.size) { part[it % part.size] }
        return insert(bytes, from, repeated)
    }

    private fun insert(
        bytes: ByteArray,
        at: Int,
        inserted: ByteArray,
    ) = bytes.copyOf(at) + inserted + bytes.copyOfRange(at, bytes.size)

    private fun ByteArray.drop(count: Int) = copyOfRange(count, size)

    private companion object {
        /** Bytes of what is repeated: what costs more than its size shows itself long before. */
        const val LARGEST = 1 shl 18
        val DIGITS = '0'.code.toByte()..'9'.code.toByte()
        val NUMBERS =
            listOf("0", "-1", "1.5", "4096", "1e999", "-1e999", "1e-999", "NaN", "true", "null") +
                listOf("2147483648", "-9223372036854775808", "9223372036854775808") +
                listOf("1".repeat(5000), "[1, 1]", "\"1\"", "-0.0")
        val TOKENS =
            listOf("{", "}", "[", "]", ",", ":", "\"", "\\", "\\u0000", "\\ud800", "\\u2028") +
                listOf("\u0000", "\u001B[31m", "\u0085", "\u202E", "\uFEFF") +
                listOf("null", "[[[[", "{\"\":")
    }
}

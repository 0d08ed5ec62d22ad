package org.kerasfastvit.demo.app

import android.content.Context
import android.net.Uri
import android.provider.OpenableColumns
import org.kerasfastvit.demo.core.DescriptionException
import org.kerasfastvit.demo.core.ModelDescription
import org.kerasfastvit.demo.core.Sidecar
import java.io.File
import java.io.IOException
import java.io.OutputStream
import java.io.RandomAccessFile
import java.nio.ByteBuffer
import java.nio.channels.FileChannel
import java.security.MessageDigest

/** The models that the app has: the one that it brings, and those that were imported. */
class ModelStore(
    private val context: Context,
) {
    private val folder = File(context.filesDir, "models")

    /** Their names, the app's own first. */
    fun names(): List<String> {
        val imported =
            folder.list().orEmpty().filter { it.endsWith(SUFFIX) && it != DEFAULT + SUFFIX }
        return listOf(DEFAULT) + imported.map { it.removeSuffix(SUFFIX) }.sorted()
    }

    /**
     * The file of a model; the app's own is unpacked, since LiteRT maps files.
     *
     * @throws IOException if there is none of that name.
     */
    fun file(name: String): File {
        val file = File(folder, name + SUFFIX)
        if (name == DEFAULT) {
            context.assets.open(DEFAULT + SUFFIX).use { asset -> write(file) { asset.copyTo(it) } }
        }
        if (!file.isFile) throw IOException("Expected a model named $name. Received: none")
        return file
    }

    /**
     * What is known of a model: its sidecar if there is one, else what its file says.
     *
     * @throws DescriptionException if the file is not what its description says, or cannot be used.
     * @throws IOException if it cannot be read.
     */
    fun describe(
        name: String,
        file: File,
    ): ModelDescription {
        val sidecar = if (name == DEFAULT) context.assets.open("$DEFAULT.json") else null
        if (sidecar == null) return embedded(file)
        val description = sidecar.use { Sidecar.parse(it.readBytes(), mapped(file)) }
        val expected = description.file?.sha256
        val received = sha256(file)
        if (expected != null && expected != received) {
            throw DescriptionException("sha256", expected, received)
        }
        return description
    }

    /**
     * Takes a file that the user has picked into the store, if the app can use it.
     *
     * @return Its name here.
     * @throws DescriptionException if it is no model, one without the exporter's description, or one
     *     whose tensors are not as described.
     * @throws IOException if it cannot be read.
     */
    fun import(source: Uri): String {
        val name = displayName(source).removeSuffix(SUFFIX).replace(Regex("[^A-Za-z0-9_.-]"), "_")
        val target = File(folder, if (name == DEFAULT) "${name}_2$SUFFIX" else name + SUFFIX)
        val input =
            context.contentResolver.openInputStream(source)
                ?: throw IOException("Expected a file that can be read. Received: $source")
        input.use { stream ->
            write(target, check = { embedded(it) }) { stream.copyTo(it) }
        }
        return target.name.removeSuffix(SUFFIX)
    }

    private fun displayName(source: Uri): String {
        val columns = arrayOf(OpenableColumns.DISPLAY_NAME)
        val found =
            context.contentResolver.query(source, columns, null, null, null)?.use {
                if (it.moveToFirst()) it.getString(0) else null
            }
        return found ?: source.lastPathSegment ?: "model"
    }

    private fun embedded(file: File): ModelDescription =
        Sidecar.embedded(mapped(file))
            ?: throw DescriptionException(
                "the model file",
                "the metadata ${Sidecar.METADATA}, which export_tflite writes",
                "a file without it",
            )

    private fun mapped(file: File): ByteBuffer =
        RandomAccessFile(file, "r").use {
            it.channel.map(FileChannel.MapMode.READ_ONLY, 0, it.length())
        }

    /** Writes beside the target, then renames: what is there is whole. */
    private fun write(
        target: File,
        check: (File) -> Unit = {},
        fill: (OutputStream) -> Unit,
    ) {
        folder.mkdirs()
        val partial = File.createTempFile("unfinished", null, folder)
        try {
            partial.outputStream().use(fill)
            check(partial)
            if (!partial.renameTo(target)) throw IOException("Cannot write ${target.name}")
        } finally {
            partial.delete()
        }
    }

    private fun sha256(file: File): String {
        val digest = MessageDigest.getInstance("SHA-256").digest(file.readBytes())
        return digest.joinToString("") { "%02x".format(it) }
    }

    companion object {
        /** The name of the model that the app brings. */
        const val DEFAULT = "default"

        private const val SUFFIX = ".tflite"
    }
}

package org.kerasfastvit.demo.engine

import com.sun.jna.Pointer
import com.sun.jna.ptr.PointerByReference
import org.kerasfastvit.demo.core.Accelerator
import org.kerasfastvit.demo.core.Engine
import org.kerasfastvit.demo.core.EngineException
import org.kerasfastvit.demo.core.ModelDescription
import org.kerasfastvit.demo.core.ModelInput
import org.kerasfastvit.demo.core.Scores
import org.kerasfastvit.demo.core.TensorDescription
import org.kerasfastvit.demo.core.TensorType

/**
 * The twin of the app's engine: LiteRT's C library on a computer's CPU, through JNA.
 *
 * The same `.tflite` file thus runs below the same Kotlin pipeline in tests.
 *
 * @param path The file.
 * @throws EngineException if LiteRT refuses the file, or its tensors are not as described.
 */
public class JvmEngine(
    path: String,
    private val description: ModelDescription,
) : Engine {
    override val accelerator: Accelerator = Accelerator.CPU

    private val library = LiteRtLibrary.loaded
    private val cleanup = ArrayDeque<() -> Unit>()
    private val compiled: Pointer
    private val input: LiteRtTensor
    private val output: LiteRtTensor

    init {
        try {
            val environment =
                owned("start", library::LiteRtDestroyEnvironment) {
                    library.LiteRtCreateEnvironment(0, null, it)
                }
            val model =
                owned("read $path", library::LiteRtDestroyModel) {
                    library.LiteRtCreateModelFromFile(environment, path, it)
                }
            val options =
                owned("make options", library::LiteRtDestroyOptions) {
                    library.LiteRtCreateOptions(it)
                }
            LiteRtLibrary.check(
                "choose the CPU",
                library.LiteRtSetOptionsHardwareAccelerators(options, LiteRtLibrary.CPU),
            )
            compiled =
                owned("compile $path", library::LiteRtDestroyCompiledModel) {
                    library.LiteRtCreateCompiledModel(environment, model, options, it)
                }
            val graph =
                LiteRtLibrary.handle("show its graph") {
                    library.LiteRtGetModelSubgraph(model, 0, it)
                }
            input =
                tensor(
                    environment,
                    LiteRtLibrary.handle("show its input") {
                        library.LiteRtGetSubgraphInput(graph, 0, it)
                    },
                    LiteRtLibrary.handle("say what its input needs") {
                        library.LiteRtGetCompiledModelInputBufferRequirements(compiled, 0, 0, it)
                    },
                )
            output =
                tensor(
                    environment,
                    LiteRtLibrary.handle("show its output") {
                        library.LiteRtGetSubgraphOutput(graph, 0, it)
                    },
                    LiteRtLibrary.handle("say what its output needs") {
                        library.LiteRtGetCompiledModelOutputBufferRequirements(compiled, 0, 0, it)
                    },
                )
            check(input, description.input.tensor)
            check(output, description.output.tensor)
        } catch (error: EngineException) {
            close()
            throw error
        }
    }

    private val outputBytes = ByteArray(output.size)
    private val outputFloats = FloatArray(output.size / Float.SIZE_BYTES)

    override fun run(
        input: ModelInput,
        scores: Scores,
    ) {
        this.input.locked(LiteRtLibrary.WRITE) { memory ->
            when (input) {
                is ModelInput.Int8 -> {
                    memory.write(0, input.values.array(), 0, this.input.size)
                }

                is ModelInput.Float32 -> {
                    val count = this.input.size / Float.SIZE_BYTES
                    memory.write(0, input.values.array(), 0, count)
                }
            }
        }
        val status =
            library.LiteRtRunCompiledModel(
                compiled,
                0,
                1,
                arrayOf(this.input.buffer),
                1,
                arrayOf(output.buffer),
            )
        LiteRtLibrary.check("run the model", status)
        output.locked(LiteRtLibrary.READ) { memory ->
            if (description.output.tensor.dtype == TensorType.INT8) {
                memory.read(0, outputBytes, 0, outputBytes.size)
                scores.read(outputBytes)
            } else {
                memory.read(0, outputFloats, 0, outputFloats.size)
                scores.read(outputFloats)
            }
        }
    }

    /** Destroys what was made, the last first. */
    override fun close() {
        while (cleanup.isNotEmpty()) cleanup.removeLast()()
    }

    private fun owned(
        did: String,
        destroy: (Pointer) -> Unit,
        create: (PointerByReference) -> Int,
    ): Pointer {
        val handle = LiteRtLibrary.handle(did, create)
        cleanup.addLast { destroy(handle) }
        return handle
    }

    private fun tensor(
        environment: Pointer,
        tensor: Pointer,
        requirements: Pointer,
    ): LiteRtTensor {
        val made = LiteRtTensor(library, environment, tensor, requirements)
        cleanup.addLast(made::close)
        return made
    }

    private fun check(
        tensor: LiteRtTensor,
        described: TensorDescription,
    ) {
        val width = if (described.dtype == TensorType.INT8) 1 else Float.SIZE_BYTES
        val expected = described.shape.fold(width) { product, side -> product * side }
        if (tensor.size != expected) {
            throw EngineException(
                "Expected ${described.name} of ${described.shape} ${described.dtype}, $expected " +
                    "bytes. Received: a tensor of ${tensor.size} bytes",
            )
        }
    }
}

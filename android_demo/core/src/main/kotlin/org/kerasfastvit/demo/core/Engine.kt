package org.kerasfastvit.demo.core

/**
 * Runs one model: the only thing that the app knows of a runtime.
 *
 * Whoever makes one has compared the file's tensors with its description, or fails. One thread at
 * a time, and closed once by the last one that uses it.
 */
public interface Engine : AutoCloseable {
    /** What really runs the model, which may not be what was asked for. */
    public val accelerator: Accelerator

    /**
     * Runs the model.
     *
     * @param input Filled, of the type of the model's input.
     * @param scores Receives the output.
     * @throws EngineException if the runtime refuses; the engine is then to be closed.
     */
    public fun run(
        input: ModelInput,
        scores: Scores,
    )
}

/** A runtime cannot load or run a model. */
public class EngineException(
    message: String,
    cause: Throwable? = null,
) : RuntimeException(message, cause)

package org.kerasfastvit.demo.app

import android.content.res.Resources
import org.kerasfastvit.demo.R
import org.kerasfastvit.demo.core.ModelState

/** What the sidecar says of a model, as text. */
class ModelInformation(
    private val resources: Resources,
) {
    fun of(model: ModelState.Ready): String {
        val about = model.description
        val check = about.selfCheck
        val lines =
            listOf(
                R.string.information_model to about.model,
                R.string.information_weights to (about.weights ?: "–"),
                R.string.information_quantize to about.quantize,
                R.string.information_target to about.target,
                R.string.information_input to
                    "${about.input.width} × ${about.input.height}, ${about.input.tensor.dtype}",
                R.string.information_classes to about.output.classes.toString(),
                R.string.information_size to (about.file?.size?.toString() ?: "–"),
                R.string.information_runs_on to model.used.name,
                R.string.information_agreement to
                    (
                        check?.let { resources.getString(R.string.probability, 100 * it.agreement) }
                            ?: "–"
                    ),
                R.string.information_versions to
                    about.versions.entries.joinToString { "${it.key} ${it.value}" },
            )
        val limits =
            if (about.weights == FASHION_MNIST) {
                "\n\n${resources.getString(R.string.default_model_limits)}"
            } else {
                ""
            }
        return lines.joinToString("\n") { (name, value) ->
            "${resources.getString(name)}: $value"
        } + limits
    }

    companion object {
        /** Weights that are for a demonstration only. */
        const val FASHION_MNIST = "fashion_mnist"
    }
}

package org.kerasfastvit.demo.app

import android.app.Activity
import android.content.ClipData
import android.content.ClipboardManager
import android.content.Context
import android.os.Bundle
import android.view.View
import android.widget.Button
import android.widget.TextView
import org.kerasfastvit.demo.R
import org.kerasfastvit.demo.core.Accelerator
import org.kerasfastvit.demo.core.Settings

/**
 * Times the chosen model on the chosen accelerator: 100 runs on one frame, after a warm-up.
 *
 * With the extra `run` it begins by itself; `model`, `accelerator` (`CPU`, `GPU`) and `threads` take
 * the place of what was chosen. Only `adb` may start it from outside.
 */
class BenchmarkActivity : Activity() {
    private lateinit var task: BenchmarkTask
    private lateinit var text: TextView
    private lateinit var run: Button

    override fun onCreate(saved: Bundle?) {
        super.onCreate(saved)
        setContentView(R.layout.benchmark)
        text = findViewById(R.id.benchmark_text) as TextView
        run = findViewById(R.id.benchmark_run) as Button
        run.setOnClickListener { start() }
        val copying: View = findViewById(R.id.benchmark_copy)
        copying.setOnClickListener { copy() }
        val root: View = findViewById(R.id.benchmark_root)
        root.edgeToEdge { insets ->
            root.setPadding(
                insets.systemWindowInsetLeft,
                insets.systemWindowInsetTop,
                insets.systemWindowInsetRight,
                insets.systemWindowInsetBottom,
            )
        }
        val kept = keptTask()
        task = kept ?: BenchmarkTask(applicationContext)
        task.changed = ::show
        show()
        if (kept == null && saved == null && intent.getBooleanExtra(RUN, false)) start()
    }

    // Deprecated in API 23, of which CI compiles this, and no longer in later ones.
    @Suppress("DEPRECATION")
    private fun keptTask() = lastNonConfigurationInstance as? BenchmarkTask

    @Suppress("OVERRIDE_DEPRECATION")
    override fun onRetainNonConfigurationInstance(): Any = task

    override fun onDestroy() {
        if (!isChangingConfigurations) task.close()
        super.onDestroy()
    }

    private fun show() {
        text.text = task.text
        run.isEnabled = !task.running
    }

    private fun start() {
        val store = SettingsStore(this)
        task.start(intent.getStringExtra(MODEL) ?: store.model, asked(store.read()))
    }

    private fun asked(settings: Settings): Settings {
        val accelerator = intent.getStringExtra(ACCELERATOR)
        return settings
            .copy(
                accelerator =
                    Accelerator.entries.firstOrNull { it.name == accelerator }
                        ?: settings.accelerator,
                threads = intent.getIntExtra(THREADS, settings.threads),
            ).inRange()
    }

    private fun copy() {
        val clipboard = getSystemService(Context.CLIPBOARD_SERVICE) as ClipboardManager
        clipboard.setPrimaryClip(ClipData.newPlainText(getString(R.string.benchmark), text.text))
    }

    private companion object {
        const val RUN = "run"
        const val MODEL = "model"
        const val ACCELERATOR = "accelerator"
        const val THREADS = "threads"
    }
}

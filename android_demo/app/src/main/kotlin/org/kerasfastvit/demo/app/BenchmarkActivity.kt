package org.kerasfastvit.demo.app

import android.app.Activity
import android.content.ClipData
import android.content.ClipboardManager
import android.content.Context
import android.os.Build
import android.os.Bundle
import android.os.Handler
import android.os.Looper
import android.os.PowerManager
import android.view.View
import android.widget.Button
import android.widget.TextView
import org.kerasfastvit.demo.R
import org.kerasfastvit.demo.core.DescriptionException
import org.kerasfastvit.demo.core.EngineException
import org.kerasfastvit.demo.core.Settings
import java.io.IOException
import kotlin.concurrent.thread

/** Times the chosen model on the chosen accelerator: 100 runs on one frame, after a warm-up. */
class BenchmarkActivity : Activity() {
    private val main = Handler(Looper.getMainLooper())
    private lateinit var text: TextView
    private lateinit var run: Button

    @Volatile private var left = false

    override fun onCreate(saved: Bundle?) {
        super.onCreate(saved)
        setContentView(R.layout.benchmark)
        text = findViewById(R.id.benchmark_text) as TextView
        run = findViewById(R.id.benchmark_run) as Button
        text.text = saved?.getString(TEXT) ?: getString(R.string.benchmark_explanation)
        run.setOnClickListener { start() }
        val copying: View = findViewById(R.id.benchmark_copy)
        copying.setOnClickListener { copy() }
        val root: View = findViewById(R.id.benchmark_root)
        root.setOnApplyWindowInsetsListener { view, insets ->
            view.setPadding(
                insets.systemWindowInsetLeft,
                insets.systemWindowInsetTop,
                insets.systemWindowInsetRight,
                insets.systemWindowInsetBottom,
            )
            insets
        }
    }

    override fun onSaveInstanceState(saved: Bundle) {
        super.onSaveInstanceState(saved)
        saved.putString(TEXT, text.text.toString())
    }

    override fun onDestroy() {
        left = true
        super.onDestroy()
    }

    private fun start() {
        run.isEnabled = false
        text.text = getString(R.string.benchmark_running)
        val store = SettingsStore(this)
        val settings = store.read()
        val name = store.model
        thread(name = "benchmark") {
            val result = measured(name, settings)
            main.post {
                if (left) return@post
                text.text = result
                run.isEnabled = true
            }
        }
    }

    private fun measured(
        name: String,
        settings: Settings,
    ): String =
        try {
            val models = ModelStore(applicationContext)
            val file = models.file(name)
            val description = models.describe(name, file)
            val before = thermalStatus()
            LiteRtEngine(file, description, settings.accelerator, settings.threads).use { engine ->
                val benchmark = Benchmark(Classifier(engine, description))
                val latencies = benchmark.run { left }
                listOf(
                    getString(
                        R.string.benchmark_device,
                        Build.MANUFACTURER,
                        Build.MODEL,
                        Build.VERSION.SDK_INT,
                    ),
                    getString(R.string.model_on, name, engine.accelerator.name),
                    getString(R.string.threads, settings.threads),
                    getString(R.string.benchmark_runs, latencies.count),
                    LatencyText(resources).of(latencies),
                    getString(R.string.benchmark_thermal, before, thermalStatus()),
                ).joinToString("\n")
            }
        } catch (error: EngineException) {
            getString(R.string.benchmark_failed, error.message)
        } catch (error: DescriptionException) {
            getString(R.string.benchmark_failed, error.message)
        } catch (error: IOException) {
            getString(R.string.benchmark_failed, error.message)
        }

    /** Android's number, 0 (none) to 6 (shut down); before Android 10 unknown. */
    private fun thermalStatus(): String {
        if (Build.VERSION.SDK_INT < ANDROID_10) return getString(R.string.unknown)
        val power = getSystemService(Context.POWER_SERVICE) as PowerManager
        return power.getCurrentThermalStatus().toString()
    }

    private fun copy() {
        val clipboard = getSystemService(Context.CLIPBOARD_SERVICE) as ClipboardManager
        clipboard.setPrimaryClip(ClipData.newPlainText(getString(R.string.benchmark), text.text))
    }

    private companion object {
        const val TEXT = "text"
        const val ANDROID_10 = 29
    }
}

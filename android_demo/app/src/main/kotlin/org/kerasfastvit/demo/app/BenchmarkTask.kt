package org.kerasfastvit.demo.app

import android.content.Context
import android.os.Build
import android.os.Handler
import android.os.Looper
import android.os.PowerManager
import android.util.Log
import org.kerasfastvit.demo.R
import org.kerasfastvit.demo.core.EngineException
import org.kerasfastvit.demo.core.Settings
import java.io.IOException
import kotlin.concurrent.thread

/**
 * A benchmark in a thread of its own, which outlives the activity that shows it where another one
 * takes its place. On the main thread, but for the measuring.
 *
 * @param context The application's.
 */
class BenchmarkTask(
    private val context: Context,
) : AutoCloseable {
    /** Is called when [text] or [running] has changed. */
    var changed: () -> Unit = {}

    /** What it does, or what it found. */
    var text: String = context.getString(R.string.benchmark_explanation)
        private set

    var running: Boolean = false
        private set

    @Volatile private var closed = false
    private val main = Handler(Looper.getMainLooper())

    /** Measures a model; the result is logged too, for `adb logcat -s FastViT`. */
    fun start(
        name: String,
        settings: Settings,
    ) {
        if (running) return
        show(context.getString(R.string.benchmark_running), true)
        thread(name = "benchmark") {
            val result = measured(name, settings)
            if (!closed) Log.i(TAG, result)
            main.post { show(result, false) }
        }
    }

    override fun close() {
        closed = true
        changed = {}
    }

    private fun show(
        text: String,
        running: Boolean,
    ) {
        this.text = text
        this.running = running
        changed()
    }

    private fun measured(
        name: String,
        settings: Settings,
    ): String =
        try {
            val before = thermalStatus()
            ModelLoader(context).load(name, settings).use { classifier ->
                val latencies = Benchmark(classifier).run { closed }
                listOf(
                    context.getString(
                        R.string.benchmark_device,
                        Build.MANUFACTURER,
                        Build.MODEL,
                        Build.VERSION.SDK_INT,
                    ),
                    context.getString(R.string.model_on, name, classifier.accelerator.name),
                    context.getString(R.string.threads, settings.threads),
                    context.getString(R.string.benchmark_runs, latencies.count),
                    LatencyText(context.resources).of(latencies),
                    context.getString(R.string.benchmark_thermal, before, thermalStatus()),
                ).joinToString("\n")
            }
        } catch (error: EngineException) {
            failed(error)
        } catch (error: IllegalArgumentException) {
            failed(error)
        } catch (error: IOException) {
            failed(error)
        }

    private fun failed(error: Exception) =
        context.getString(R.string.benchmark_failed, error.message ?: error.toString())

    /** Android's number, 0 (none) to 6 (shut down); before Android 10 unknown. */
    private fun thermalStatus(): String {
        if (Build.VERSION.SDK_INT < ANDROID_10) return context.getString(R.string.unknown)
        val power = context.getSystemService(Context.POWER_SERVICE) as PowerManager
        return power.getCurrentThermalStatus().toString()
    }

    private companion object {
        const val TAG = "FastViT"
        const val ANDROID_10 = 29
    }
}

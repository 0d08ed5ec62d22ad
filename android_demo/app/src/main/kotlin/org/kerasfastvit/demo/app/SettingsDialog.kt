package org.kerasfastvit.demo.app

import android.app.Activity
import android.app.AlertDialog
import android.view.View
import android.widget.RadioGroup
import android.widget.SeekBar
import android.widget.TextView
import org.kerasfastvit.demo.R
import org.kerasfastvit.demo.core.Accelerator
import org.kerasfastvit.demo.core.ScreenEvent
import org.kerasfastvit.demo.core.Settings

/** Accelerator, threads, number of results and threshold; each takes effect when it is let go. */
class SettingsDialog(
    private val activity: Activity,
    private val dispatch: (ScreenEvent) -> Unit,
) {
    /** The dialog, to be shown. */
    fun builder(settings: Settings): AlertDialog.Builder {
        val view = activity.layoutInflater.inflate(R.layout.settings, null)
        val accelerators = view.findViewById(R.id.accelerators) as RadioGroup
        accelerators.check(if (settings.accelerator == Accelerator.GPU) R.id.gpu else R.id.cpu)
        accelerators.setOnCheckedChangeListener { _, id ->
            val accelerator = if (id == R.id.gpu) Accelerator.GPU else Accelerator.CPU
            dispatch(ScreenEvent.AcceleratorAsked(accelerator))
        }
        Slider(view, R.id.threads, R.id.threads_label, R.string.threads)
            .show(settings.threads - 1, Settings.MOST_THREADS - 1, { it + 1 }) {
                dispatch(ScreenEvent.ThreadsAsked(it + 1))
            }
        Slider(view, R.id.results_count, R.id.results_label, R.string.results_count)
            .show(settings.results - 1, Settings.MOST_RESULTS - 1, { it + 1 }) {
                dispatch(ScreenEvent.ResultsAsked(it + 1))
            }
        Slider(view, R.id.threshold, R.id.threshold_label, R.string.threshold)
            .show((settings.threshold * STEPS).toInt(), STEPS, { it * (100 / STEPS) }) {
                dispatch(ScreenEvent.ThresholdAsked(it.toFloat() / STEPS))
            }
        return AlertDialog
            .Builder(activity)
            .setTitle(R.string.settings)
            .setView(view)
            .setPositiveButton(android.R.string.ok, null)
    }

    /** A bar with its value in words above it. */
    private inner class Slider(
        view: View,
        bar: Int,
        label: Int,
        private val text: Int,
    ) {
        private val bar = view.findViewById(bar) as SeekBar
        private val label = view.findViewById(label) as TextView

        fun show(
            position: Int,
            most: Int,
            value: (Int) -> Int,
            chosen: (Int) -> Unit,
        ) {
            bar.max = most
            bar.progress = position
            label.text = activity.getString(text, value(position))
            bar.setOnSeekBarChangeListener(
                object : SeekBar.OnSeekBarChangeListener {
                    override fun onProgressChanged(
                        bar: SeekBar,
                        position: Int,
                        fromUser: Boolean,
                    ) {
                        label.text = activity.getString(text, value(position))
                    }

                    override fun onStartTrackingTouch(bar: SeekBar) = Unit

                    override fun onStopTrackingTouch(bar: SeekBar) = chosen(bar.progress)
                },
            )
        }
    }

    private companion object {
        /** Of the threshold: 5 % each. */
        const val STEPS = 20
    }
}

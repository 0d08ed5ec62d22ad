package org.kerasfastvit.demo.app

import android.content.Context
import org.kerasfastvit.demo.core.Accelerator
import org.kerasfastvit.demo.core.Facing
import org.kerasfastvit.demo.core.Settings

/** Keeps the settings, and which model was chosen, beyond the end of the process. */
class SettingsStore(
    context: Context,
) {
    private val preferences = context.getSharedPreferences("settings", Context.MODE_PRIVATE)

    /** Name of the chosen model. */
    var model: String
        get() = preferences.getString(MODEL, null) ?: ModelStore.DEFAULT
        set(name) = preferences.edit().putString(MODEL, name).apply()

    /** As last written. What an older version of the app wrote may be out of range. */
    fun read(): Settings {
        val default = Settings()
        return Settings(
            facing = Facing.entries.named(FACING) ?: default.facing,
            accelerator = Accelerator.entries.named(ACCELERATOR) ?: default.accelerator,
            threads = preferences.getInt(THREADS, default.threads),
            results = preferences.getInt(RESULTS, default.results),
            threshold = preferences.getFloat(THRESHOLD, default.threshold),
        ).inRange()
    }

    fun write(settings: Settings) =
        preferences
            .edit()
            .putString(FACING, settings.facing.name)
            .putString(ACCELERATOR, settings.accelerator.name)
            .putInt(THREADS, settings.threads)
            .putInt(RESULTS, settings.results)
            .putFloat(THRESHOLD, settings.threshold)
            .apply()

    private fun <T : Enum<T>> List<T>.named(key: String): T? {
        val name = preferences.getString(key, null)
        return firstOrNull { it.name == name }
    }

    private companion object {
        const val MODEL = "model"
        const val FACING = "facing"
        const val ACCELERATOR = "accelerator"
        const val THREADS = "threads"
        const val RESULTS = "results"
        const val THRESHOLD = "threshold"
    }
}

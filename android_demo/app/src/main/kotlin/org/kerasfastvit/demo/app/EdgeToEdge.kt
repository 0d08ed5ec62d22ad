package org.kerasfastvit.demo.app

import android.view.View
import android.view.WindowInsets
import org.kerasfastvit.demo.R

/** Since Android 8; older ones ignore it. `View.SYSTEM_UI_FLAG_LIGHT_NAVIGATION_BAR`. */
private const val LIGHT_NAVIGATION_BAR = 0x10

/**
 * Lets this view, its window's only one, lie below the system's bars too, as Android 15 does by
 * itself.
 *
 * @param pad Is told how far the bars and cut-outs reach into the window, whenever that changes.
 */
fun View.edgeToEdge(pad: (WindowInsets) -> Unit) {
    systemUiVisibility =
        View.SYSTEM_UI_FLAG_LAYOUT_STABLE or
        View.SYSTEM_UI_FLAG_LAYOUT_FULLSCREEN or
        View.SYSTEM_UI_FLAG_LAYOUT_HIDE_NAVIGATION or
        (if (resources.getBoolean(R.bool.light)) LIGHT_NAVIGATION_BAR else 0)
    setOnApplyWindowInsetsListener { _, insets ->
        pad(insets)
        insets
    }
}

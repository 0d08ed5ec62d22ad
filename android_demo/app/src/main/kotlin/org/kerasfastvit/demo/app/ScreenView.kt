package org.kerasfastvit.demo.app

import android.app.Activity
import android.graphics.Bitmap
import android.view.View
import android.view.ViewGroup
import android.widget.Button
import android.widget.ImageButton
import android.widget.ImageView
import android.widget.LinearLayout
import android.widget.TextView
import org.kerasfastvit.demo.R
import org.kerasfastvit.demo.core.ModelState
import org.kerasfastvit.demo.core.ScreenEvent
import org.kerasfastvit.demo.core.ScreenState
import org.kerasfastvit.demo.core.Source
import org.kerasfastvit.demo.core.WayOn

/** Shows the state on the views of `main.xml`, and turns touches into events. */
class ScreenView(
    private val activity: Activity,
    private val root: ViewGroup,
    dispatch: (ScreenEvent) -> Unit,
) {
    /** What a message's button does. */
    var onWayOn: (WayOn) -> Unit = {}

    /** What the menu's button does. */
    var onMenu: () -> Unit = {}

    private val picture = activity.findViewById(R.id.picture) as ImageView
    private val message = activity.findViewById(R.id.message) as LinearLayout
    private val messageText = activity.findViewById(R.id.message_text) as TextView
    private val waysOn = activity.findViewById(R.id.ways_on) as LinearLayout
    private val status = activity.findViewById(R.id.status) as TextView
    private val limits = activity.findViewById(R.id.limits) as TextView
    private val latencies = activity.findViewById(R.id.latencies) as TextView
    private val torch = activity.findViewById(R.id.torch) as ImageButton
    private val pause = activity.findViewById(R.id.pause) as ImageButton
    private val switch = activity.findViewById(R.id.switch_camera) as ImageButton
    private val results =
        ResultsView(activity.findViewById(R.id.results) as LinearLayout, activity.layoutInflater)

    init {
        torch.setOnClickListener { dispatch(ScreenEvent.TorchToggled) }
        pause.setOnClickListener { dispatch(ScreenEvent.PauseToggled) }
        switch.setOnClickListener { dispatch(ScreenEvent.CameraSwitched) }
        val menu: View = activity.findViewById(R.id.menu)
        menu.setOnClickListener { onMenu() }
        // The picture lies under the bars, what is read and touched does not.
        val content: View = activity.findViewById(R.id.content)
        val top: View = activity.findViewById(R.id.top)
        val bottom: View = activity.findViewById(R.id.bottom)
        root.edgeToEdge { insets ->
            content.setPadding(insets.systemWindowInsetLeft, 0, insets.systemWindowInsetRight, 0)
            top.setPadding(0, insets.systemWindowInsetTop, 0, 0)
            bottom.setPadding(0, 0, 0, insets.systemWindowInsetBottom)
        }
    }

    fun show(state: ScreenState) {
        val fromCamera = state.source == Source.Camera
        root.keepScreenOn = state.wantsCamera
        picture.visibility = if (fromCamera) View.GONE else View.VISIBLE
        if (fromCamera) picture.setImageDrawable(null)
        torch.visibility = if (fromCamera && state.torchAvailable) View.VISIBLE else View.GONE
        torch.isSelected = state.torch
        torch.contentDescription = text(if (state.torch) R.string.torch_off else R.string.torch_on)
        pause.visibility = if (fromCamera) View.VISIBLE else View.GONE
        pause.isSelected = state.paused
        pause.setImageResource(if (state.paused) R.drawable.ic_resume else R.drawable.ic_pause)
        pause.contentDescription = text(if (state.paused) R.string.resume else R.string.pause)
        switch.visibility = if (fromCamera) View.VISIBLE else View.GONE
        showStatus(state.model)
        results.show(state.results)
        showMessage(state)
    }

    fun showPicture(bitmap: Bitmap) = picture.setImageBitmap(bitmap)

    fun showLatencies(text: String) {
        latencies.text = text
    }

    private fun showStatus(model: ModelState) {
        val shown = statusOf(model)
        // A text that is set anew is read out anew.
        if (status.text.toString() != shown) status.text = shown
        val ready = model as? ModelState.Ready
        val isDemonstration = ready?.description?.weights == ModelInformation.FASHION_MNIST
        limits.visibility = if (isDemonstration) View.VISIBLE else View.GONE
    }

    private fun statusOf(model: ModelState): String =
        when (model) {
            ModelState.None -> {
                text(R.string.no_model)
            }

            is ModelState.Loading -> {
                activity.getString(R.string.loading_model, model.name)
            }

            is ModelState.Failed -> {
                activity.getString(R.string.model_failed, model.name)
            }

            is ModelState.Ready -> {
                val isOwn = model.name == ModelStore.DEFAULT
                val name = if (isOwn) model.description.model else model.name
                activity.getString(R.string.model_on, name, model.used.name)
            }
        }

    private fun showMessage(state: ScreenState) {
        val shown = state.message
        message.visibility = if (shown == null) View.GONE else View.VISIBLE
        if (shown == null || message.tag == shown) {
            message.tag = shown
            return
        }
        message.tag = shown
        messageText.text = text(shown.text)
        waysOn.removeAllViews()
        for (way in shown.waysOn) {
            val button = Button(activity)
            button.text = text(way.text)
            button.setOnClickListener { onWayOn(way) }
            waysOn.addView(button)
        }
    }

    private fun text(id: Int) = activity.getString(id)
}
